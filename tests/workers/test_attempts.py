"""Several attempts, late news and crashes, against a real provider process whose callbacks never arrive."""

from datetime import timedelta

import pytest
from django.utils import timezone

from orders.commands import lifecycle, provider_calls, refresh, refunds, review, snapshots
from orders.models import Order, Payment
from orders.payments import base
from orders.schedule import checks
from orders.schedule.profiles import PROFILES, Profile
from tests.sandbox import SandboxProcess
from tests.workers.conftest import API, begun, make_due
from workers import reconciler


def looked_at(payment: Payment) -> Payment:
    """As if its time had come, and after the tick."""
    make_due(payment)
    reconciler.tick()
    payment.refresh_from_db()
    return payment


def state_of(order: Order) -> str:
    return Order.objects.values_list("state", flat=True).get(pk=order.pk)


def test_a_failed_attempt_that_is_paid_after_all_is_found(provider: SandboxProcess) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "decline")
    failed = looked_at(payment)
    assert (state_of(order), failed.status, failed.profile) == ("failed", "failed", "failed")

    provider.act(payment.provider_ref, "pay")
    looked_at(payment)

    assert state_of(order) == "paid"


def test_a_failed_attempt_that_the_customer_tries_again_is_believed_when_asked(
    provider: SandboxProcess,
) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "decline")
    looked_at(payment)

    provider.act(payment.provider_ref, "process")
    looked_at(payment)

    assert (state_of(order), Order.objects.get().flags) == ("processing", [])


def test_a_failed_attempt_is_let_go_quietly_at_the_end_of_its_profile(
    provider: SandboxProcess,
) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "decline")
    looked_at(payment)
    Payment.objects.update(step=len(PROFILES[Profile.FAILED]) - 1)

    after = looked_at(payment)

    assert (after.next_check_at, Order.objects.get().flags) == (None, [])
    assert state_of(order) == "failed"


def test_the_late_success_of_an_earlier_attempt_pays_the_order_and_calls_the_other_off(
    provider: SandboxProcess,
) -> None:
    order, first = begun()
    provider.act(first.provider_ref, "decline")
    looked_at(first)
    second = provider_calls.start_payment(order.ref, mode="callback", cause=API)

    provider.act(first.provider_ref, "pay")
    looked_at(first)
    after = looked_at(second)

    assert (state_of(order), after.status, Order.objects.get().flags) == ("paid", "cancelled", [])


def test_two_attempts_that_both_succeed_leave_it_paid_and_a_person_called(
    provider: SandboxProcess,
) -> None:
    order, first = begun()
    second = provider_calls.start_payment(order.ref, mode="callback", cause=API)
    for payment in (first, second):
        provider.act(payment.provider_ref, "pay")

    looked_at(first)
    looked_at(second)

    held = Order.objects.get()
    assert (state_of(order), held.captured, held.flags) == ("paid", 2_000, ["overpaid"])


def test_a_create_whose_answer_was_lost_is_found_by_our_reference(provider: SandboxProcess) -> None:
    order, _ = lifecycle.create_order(total=1_000, currency="EUR", cause=API)
    provider.set_faults({"fault": "connection_cut", "calls": ["create"]})
    payment = provider_calls.start_payment(order.ref, mode="sync", cause=API)
    assert (payment.status, payment.profile) == ("intended", "unknown")

    looked_at(payment)

    assert state_of(order) == "paid"


def test_a_cancellation_that_we_died_in_is_made_by_the_reconciler(provider: SandboxProcess) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "authorise")
    held = looked_at(payment)
    assert held.next_check_at is not None
    assert held.next_check_at - timezone.now() > timedelta(hours=12)

    lifecycle.intend_cancellation(order.ref, reason="changed my mind", cause=API)  # and no call

    payment.refresh_from_db()
    assert payment.next_check_at is not None
    assert payment.next_check_at - timezone.now() <= timedelta(seconds=10)
    looked_at(payment)
    assert state_of(order) == "cancelled"


def test_a_dispute_is_followed_until_it_is_decided(provider: SandboxProcess) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "pay")
    provider.act(payment.provider_ref, "dispute")
    open_one = looked_at(payment)
    assert (state_of(order), open_one.profile) == ("disputed", "refund")
    assert open_one.next_check_at is not None

    provider.act(payment.provider_ref, "lose_dispute")
    after = looked_at(payment)

    assert (state_of(order), after.next_check_at) == ("charged_back", None)


def test_a_refund_that_fails_later_lowers_what_went_back(provider: SandboxProcess) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "pay")
    looked_at(payment)
    refunds.request_refund(order.ref, amount=400, reason="", cause=API)
    assert state_of(order) == "partially_refunded"

    provider.act(payment.provider_ref, "fail_refund")
    looked_at(payment)

    assert (state_of(order), Order.objects.get().refunded) == ("paid", 0)


def test_a_crash_at_the_last_look_is_no_silence(
    provider: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, payment = begun()
    Payment.objects.update(step=len(PROFILES[Profile.WAITING]) - 1)
    make_due(payment)

    class Crash(BaseException):
        pass

    def die(*_: object) -> None:
        raise Crash

    (claim,) = checks.claim_due(timezone.now(), 1)
    with monkeypatch.context() as patch:
        patch.setattr(review, "flag_for_review", die)
        with pytest.raises(Crash):
            refresh.refresh_payment(payment.pk, cause=reconciler.RECONCILER, claim=claim)

    payment.refresh_from_db()
    assert payment.next_check_at == claim.until  # the lease runs out, and it is looked at again
    looked_at(payment)
    assert Order.objects.get().flags == ["checks_exhausted"]


def test_bank_debit_follows_the_long_timetable_and_a_hold_is_looked_at_in_time(
    provider: SandboxProcess,
) -> None:
    _, payment = begun()
    answer = base.Snapshot(
        merchant_ref=payment.ref,
        provider_ref=payment.provider_ref,
        status=base.PaymentStatus.PROCESSING,
        amount=1_000,
        currency="EUR",
        is_offline=True,
    )
    snapshots.apply_snapshot(payment.pk, answer, API)
    payment.refresh_from_db()
    assert payment.profile == "offline"

    ends = timezone.now() + timedelta(hours=10)
    held = base.Snapshot(
        merchant_ref=payment.ref,
        provider_ref=payment.provider_ref,
        status=base.PaymentStatus.AUTHORISED,
        amount=1_000,
        currency="EUR",
        authorised=1_000,
        hold_ends_at=ends,
    )
    snapshots.apply_snapshot(payment.pk, held, API)
    payment.refresh_from_db()
    assert payment.next_check_at is not None
    assert abs(payment.next_check_at - (ends - timedelta(hours=5))) < timedelta(minutes=1)
