"""When payments are looked at, who looks, and what every look leaves behind."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from orders import checks
from orders.checking import (
    DAY,
    HOUR,
    LEASE,
    MINUTE,
    PROFILES,
    SECOND,
    Profile,
    next_check,
    postponed,
)
from orders.checks import Claim, Look
from orders.models import Payment, PaymentCheck, Refund
from tests.builders import RECONCILER, STAFF, a_payment, an_order, at_once, tell

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
rng = Random(1)

# From the design, in its own words.
DELAYS = {
    "waiting": [10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE, 10 * MINUTE,
                20 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 6 * HOUR],
    "unknown": [10 * SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR],
    "offline": [HOUR, 6 * HOUR],
    "authorised": [],
    "refund": [HOUR, 6 * HOUR],
    "failed": [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR],
}  # fmt: skip
DAILY = {"unknown": 5, "offline": 14, "refund": 30, "failed": 6}


@pytest.mark.parametrize("profile", Profile)
def test_the_profiles_are_those_of_the_design(profile: Profile) -> None:
    early = DELAYS[profile]
    delays = PROFILES[profile]

    assert list(delays[: len(early)]) == early
    assert set(delays[len(early) :]) == {DAY}
    assert len(delays) - len(early) == DAILY.get(profile, len(delays) - len(early))


def test_a_waiting_customer_is_followed_for_about_a_week() -> None:
    assert 6 * DAY < sum(PROFILES[Profile.WAITING], timedelta()) < 7 * DAY


@given(st.sampled_from(Profile), st.integers(0, 40), st.floats(0.01, 10), st.randoms())
def test_each_delay_is_drawn_from_a_fifth_around_its_length(
    profile: Profile, step: int, scale: float, random: Random
) -> None:
    due = next_check(profile, step, NOW, scale=scale, rng=random)

    if step >= len(PROFILES[profile]):
        assert due is None
    else:
        assert due is not None
        wait = PROFILES[profile][step] * scale
        assert wait * 0.799 <= due - NOW <= wait * 1.201


def test_checks_do_not_march_in_step() -> None:
    times = {next_check(Profile.WAITING, 0, NOW, scale=1, rng=rng) for _ in range(50)}

    assert len(times) == 50


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        (None, 30 * SECOND),
        (7.0, 7 * SECOND),
        (0.0, SECOND),  # "at once" would be a loop
        (1e18, DAY),  # "never" would be silence
    ],
)
def test_a_provider_says_when_to_come_back_within_reason(
    said: float | None, wait: timedelta
) -> None:
    due = postponed(NOW, said, scale=1, rng=rng)

    assert wait <= due - NOW <= wait * 1.201


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

        checks.note(
            payment.pk, Look(found="nothing_new", detail="…", took_ms=12), RECONCILER, now, claim
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
        look = Look(found=found, is_attempt=False, retry_after=100.0)

        checks.note(payment.pk, look, RECONCILER, timezone.now(), claim)

        assert 99 * SECOND < waits(payment) < 121 * SECOND
        assert payment.step == 0

    def test_a_callback_during_a_look_keeps_its_earlier_time(self) -> None:
        payment, claim = claimed()
        hurried = timezone.now()
        Payment.objects.filter(pk=payment.pk).update(next_check_at=hurried)

        checks.note(payment.pk, Look(found="nothing_new"), RECONCILER, timezone.now(), claim)

        payment.refresh_from_db()
        assert (payment.next_check_at, payment.step) == (hurried, 0)

    def test_a_change_during_a_look_begins_the_profile_again(self) -> None:
        payment, claim = claimed()
        Payment.objects.filter(pk=payment.pk).update(step=5)

        tell(payment, "processing")
        checks.note(payment.pk, Look(found="applied"), RECONCILER, timezone.now(), claim)

        assert waits(payment) < 13 * SECOND
        assert payment.step == 0

    def test_a_look_that_was_not_claimed_leaves_the_timetable_alone(self) -> None:
        payment, claim = claimed()

        checks.note(payment.pk, Look(found="nothing_new"), STAFF, timezone.now(), None)

        payment.refresh_from_db()
        assert (payment.next_check_at, payment.step) == (claim.until, 0)
        assert payment.last_checked_at is not None

    def test_a_lease_that_another_has_taken_over_is_not_ours_to_move(self) -> None:
        payment, claim = claimed()
        (taken_over,) = checks.claim_due(claim.until, 1)

        checks.note(payment.pk, Look(found="nothing_new"), RECONCILER, timezone.now(), claim)

        payment.refresh_from_db()
        assert payment.next_check_at == taken_over.until

    def test_the_end_of_a_profile_is_told_to_the_caller(self) -> None:
        payment, claim = claimed()
        Payment.objects.filter(pk=payment.pk).update(step=len(PROFILES[Profile.WAITING]) - 1)

        is_over = checks.note(
            payment.pk, Look(found="nothing_new"), RECONCILER, timezone.now(), claim
        )

        payment.refresh_from_db()
        assert (is_over, payment.next_check_at) == (True, None)

    def test_a_payment_that_is_over_is_no_end_of_a_profile(self) -> None:
        payment, claim = claimed()
        Payment.objects.filter(pk=payment.pk).update(status="cancelled")

        is_over = checks.note(
            payment.pk, Look(found="nothing_new"), RECONCILER, timezone.now(), claim
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
