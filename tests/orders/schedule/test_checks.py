"""Who looks at payments, and what every look leaves behind."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from orders.domain.outcomes import Found
from orders.models import Payment, PaymentCheck, Refund
from orders.schedule import checks
from orders.schedule.checks import CheckResult, Claim
from orders.schedule.profiles import (
    DAY,
    HOUR,
    LEASE,
    MINUTE,
    PROFILES,
    SECOND,
    Profile,
    next_check,
)
from tests.builders import RECONCILER, STAFF, a_payment, an_order, at_once, tell

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
rng = Random(1)


def due_payments(count: int) -> list[Payment]:
    order = an_order()
    now = timezone.now()
    return [
        a_payment(order, "pending", profile="waiting", next_check_at=now - number * SECOND)
        for number in range(1, count + 1)
    ]


@pytest.mark.usefixtures("database")
class TestClaiming:
    def test_what_is_due_is_claimed_the_longest_waiting_first(self) -> None:
        payments = due_payments(3)
        a_payment(payments[0].order, "pending", next_check_at=timezone.now() + MINUTE)
        a_payment(payments[0].order, "captured")
        now = timezone.now()

        claims = checks.claim_due(now, 2)

        assert [claim.payment_id for claim in claims] == [payments[2].pk, payments[1].pk]
        assert {claim.until for claim in claims} == {now + LEASE}

    def test_two_workers_never_claim_one_payment(self) -> None:
        payments = due_payments(30)
        now = timezone.now()

        results = at_once(*[lambda: checks.claim_due(now, 10)] * 6)

        claimed = [c.payment_id for claims in results for c in claims]  # type: ignore[union-attr]
        assert sorted(claimed) == sorted(payment.pk for payment in payments)

    def test_what_another_has_locked_is_passed_by(self) -> None:
        first, second = due_payments(2)

        with transaction.atomic():
            Payment.objects.select_for_update().get(pk=second.pk)
            (claims,) = at_once(lambda: checks.claim_due(timezone.now(), 10))

        assert [claim.payment_id for claim in claims] == [first.pk]  # type: ignore[union-attr]

    def test_the_lease_of_a_dead_worker_runs_out(self) -> None:
        (payment,) = due_payments(1)
        now = timezone.now()
        checks.claim_due(now, 10)

        assert checks.claim_due(now + LEASE - SECOND, 10) == []
        assert [c.payment_id for c in checks.claim_due(now + LEASE, 10)] == [payment.pk]


def claimed() -> tuple[Payment, Claim]:
    (payment,) = due_payments(1)
    (claim,) = checks.claim_due(timezone.now(), 1)
    return payment, claim


def waits(payment: Payment) -> timedelta:
    payment.refresh_from_db()
    assert payment.next_check_at is not None
    return payment.next_check_at - timezone.now()


@pytest.mark.usefixtures("database")
class TestNoting:
    def test_every_look_is_logged_also_when_nothing_had_changed(self) -> None:
        payment, claim = claimed()
        now = timezone.now()

        checks.record_check(
            payment.pk,
            CheckResult(found=Found.NOTHING_NEW, detail="…", took_ms=12),
            RECONCILER,
            now,
            claim,
        )

        log = PaymentCheck.objects.values("found", "detail", "source", "actor", "took_ms").get()
        payment.refresh_from_db()
        assert log == {
            "found": "nothing_new", "detail": "…", "source": "reconciler", "actor": "reconciler",
            "took_ms": 12,
        }  # fmt: skip
        assert (payment.step, payment.last_checked_at) == (1, now)
        assert 24 * SECOND < waits(payment) < 37 * SECOND

    @pytest.mark.parametrize("found", ["rate_limited", "unavailable"])
    def test_an_outage_or_a_429_uses_up_no_attempt(self, found: str) -> None:
        payment, claim = claimed()
        look = CheckResult(found=Found(found), is_attempt=False, retry_after=100.0)

        checks.record_check(payment.pk, look, RECONCILER, timezone.now(), claim)

        assert 99 * SECOND < waits(payment) < 121 * SECOND
        assert payment.step == 0

    @pytest.mark.parametrize(
        "look",
        [
            CheckResult(found=Found.UNAVAILABLE, is_attempt=False, retry_after=100.0),
            CheckResult(found=Found.RATE_LIMITED, is_attempt=False),
            CheckResult(found=Found.ERROR),
            CheckResult(found=Found.NOT_FOUND),
            CheckResult(found=Found.MALFORMED),
        ],
        ids=lambda look: look.found,
    )
    def test_a_closed_payment_that_somebody_heard_of_is_asked_about_until_there_is_an_answer(
        self, look: CheckResult
    ) -> None:
        payment, _ = claimed()
        tell(payment, "captured")
        assert payment.next_check_at is None
        Payment.objects.update(next_check_at=timezone.now())  # a callback that says no more

        for _ in range(3):
            Payment.objects.filter(pk=payment.pk).update(next_check_at=timezone.now())
            (claim,) = checks.claim_due(timezone.now(), 1)
            is_over = checks.record_check(payment.pk, look, RECONCILER, timezone.now(), claim)
            assert (waits(payment) > 5 * SECOND, is_over) == (True, False)

        (claim,) = checks.claim_due(timezone.now() + DAY, 1)
        checks.record_check(
            payment.pk, CheckResult(found=Found.NOTHING_NEW), RECONCILER, timezone.now(), claim
        )
        payment.refresh_from_db()
        assert payment.next_check_at is None

    def test_a_closed_payment_that_nobody_can_be_asked_about_calls_a_person(self) -> None:
        payment, _ = claimed()
        tell(payment, "captured")
        for looks in range(1, 100):  # noqa: B007 — counted
            Payment.objects.filter(pk=payment.pk).update(next_check_at=timezone.now())
            (claim,) = checks.claim_due(timezone.now(), 1)
            look = CheckResult(found=Found.MALFORMED)
            if checks.record_check(payment.pk, look, RECONCILER, timezone.now(), claim):
                break

        assert looks == len(PROFILES[Profile.UNKNOWN])

    def test_a_callback_during_a_look_keeps_its_earlier_time(self) -> None:
        payment, claim = claimed()
        hurried = timezone.now()
        Payment.objects.filter(pk=payment.pk).update(next_check_at=hurried)

        checks.record_check(
            payment.pk, CheckResult(found=Found.NOTHING_NEW), RECONCILER, timezone.now(), claim
        )

        payment.refresh_from_db()
        assert (payment.next_check_at, payment.step) == (hurried, 0)

    def test_a_change_during_a_look_begins_the_profile_again(self) -> None:
        payment, claim = claimed()
        Payment.objects.filter(pk=payment.pk).update(step=5)

        tell(payment, "processing")
        checks.record_check(
            payment.pk, CheckResult(found=Found.APPLIED), RECONCILER, timezone.now(), claim
        )

        assert waits(payment) < 13 * SECOND
        assert payment.step == 0

    def test_a_look_that_was_not_claimed_leaves_the_timetable_alone(self) -> None:
        payment, claim = claimed()

        checks.record_check(
            payment.pk, CheckResult(found=Found.NOTHING_NEW), STAFF, timezone.now(), None
        )

        payment.refresh_from_db()
        assert (payment.next_check_at, payment.step) == (claim.until, 0)
        assert payment.last_checked_at is not None

    def test_a_lease_that_another_has_taken_over_is_not_ours_to_move(self) -> None:
        payment, claim = claimed()
        (taken_over,) = checks.claim_due(claim.until, 1)

        checks.record_check(
            payment.pk, CheckResult(found=Found.NOTHING_NEW), RECONCILER, timezone.now(), claim
        )

        payment.refresh_from_db()
        assert payment.next_check_at == taken_over.until

    def test_the_end_of_a_profile_is_told_to_the_caller(self) -> None:
        payment, claim = claimed()
        Payment.objects.filter(pk=payment.pk).update(step=len(PROFILES[Profile.WAITING]) - 1)

        is_over = checks.record_check(
            payment.pk, CheckResult(found=Found.NOTHING_NEW), RECONCILER, timezone.now(), claim
        )

        payment.refresh_from_db()
        assert (is_over, payment.next_check_at) == (True, None)

    def test_a_payment_that_is_over_is_no_end_of_a_profile(self) -> None:
        payment, claim = claimed()
        Payment.objects.filter(pk=payment.pk).update(status="cancelled")

        is_over = checks.record_check(
            payment.pk, CheckResult(found=Found.NOTHING_NEW), RECONCILER, timezone.now(), claim
        )

        payment.refresh_from_db()
        assert (is_over, payment.next_check_at) == (False, None)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("status", "values", "profile"),
    [
        ("intended", {}, "unknown"),
        ("pending", {}, "waiting"),
        ("processing", {}, "waiting"),
        ("authorised", {}, "authorised"),
        ("captured", {"dispute": "open"}, "refund"),
        ("captured", {}, None),
        ("captured", {"dispute": "won"}, None),
        ("failed", {}, "failed"),
        ("pending", {"is_offline": True}, "offline"),
        ("cancelled", {}, None),
    ],
)
def test_what_a_payment_waits_for_names_its_profile(
    status: str, values: dict[str, Any], profile: str | None
) -> None:
    assert checks.profile_of(a_payment(an_order(), status, **values)) == profile


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("status", "profile"),
    [("intended", "unknown"), ("pending", "refund"), ("succeeded", None), ("refused", None)],
)
def test_a_refund_on_its_way_is_followed(status: str, profile: str | None) -> None:
    payment = a_payment(an_order(), "captured")
    Refund.objects.create(payment=payment, amount=1, status=status)

    assert checks.profile_of(payment) == profile


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("code", "profile"), [("card_declined", None), ("never_sent", "failed")])
def test_a_payment_that_was_refused_at_once_is_over_and_one_that_was_lost_may_yet_arrive(
    code: str, profile: str | None
) -> None:
    payment = a_payment(an_order(), "failed", failure_code=code)
    payment.provider_ref = ""

    assert checks.profile_of(payment) == profile


def test_money_on_hold_is_looked_at_when_half_and_when_most_of_the_hold_is_over() -> None:
    hold = (NOW, NOW + 20 * HOUR)
    seen = []

    now = NOW
    for step in range(3):
        due = next_check(Profile.AUTHORISED, step, now, scale=1, rng=rng, hold=hold)
        assert due is not None
        seen.append(due - NOW)
        now = due

    assert seen[:2] == [10 * HOUR, 18 * HOUR]
    assert seen[2] > 18 * HOUR + 0.8 * DAY


def test_a_hold_that_is_over_leaves_the_daily_look() -> None:
    due = next_check(Profile.AUTHORISED, 5, NOW, scale=1, rng=rng, hold=(NOW - 7 * DAY, NOW))

    assert due is not None
    assert due - NOW >= 0.8 * DAY
