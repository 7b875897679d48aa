"""The reconciler against a real provider process whose callbacks never arrive."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from orders.commands import provider_calls, refresh
from orders.models import CallbackReceipt, Order, OrderEvent, Payment, PaymentCheck
from orders.schedule import checks
from orders.schedule.profiles import PROFILES, Profile
from tests.builders import API
from tests.sandbox import SandboxProcess
from tests.workers.conftest import begun, make_due
from workers import reconciler, schedule


def test_a_payment_whose_callback_was_lost_is_found_paid(provider: SandboxProcess) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "pay")
    make_due(payment)

    tick = reconciler.tick()

    order.refresh_from_db()
    check = PaymentCheck.objects.get(payment=payment)
    assert order.state == "paid"
    assert tick.found == {"applied": 1}
    assert (check.source, check.found) == ("reconciler", "applied")
    assert OrderEvent.objects.filter(order=order).last().source == "reconciler"  # type: ignore[union-attr]


def test_what_is_not_due_is_not_asked_about(provider: SandboxProcess) -> None:
    begun()
    before = provider.control("GET", "calls")

    assert reconciler.tick().checked == 0

    assert provider.control("GET", "calls") == before


def test_an_unchanged_payment_is_logged_and_takes_the_next_step(provider: SandboxProcess) -> None:
    _, payment = begun()
    make_due(payment)

    reconciler.tick()

    payment.refresh_from_db()
    wait = PROFILES[Profile.WAITING][1]
    assert payment.step == 1
    assert payment.next_check_at is not None
    assert payment.last_checked_at is not None
    assert wait * 0.8 <= payment.next_check_at - payment.last_checked_at <= wait * 1.2
    assert PaymentCheck.objects.get().found == "nothing_new"


def test_an_outage_uses_up_no_attempt_and_is_not_asked_in_a_loop(provider: SandboxProcess) -> None:
    _, payment = begun()
    make_due(payment)
    provider.set_faults({"fault": "answer_503", "count": 50, "seconds": 600})

    tick = reconciler.tick()

    payment.refresh_from_db()
    assert tick.found == {"unavailable": 1}
    assert payment.step == 0
    assert payment.next_check_at is not None
    assert payment.next_check_at > timezone.now()


def test_the_end_of_a_profile_calls_a_person(provider: SandboxProcess) -> None:
    order, payment = begun()
    Payment.objects.update(step=len(PROFILES[Profile.WAITING]) - 1)
    make_due(payment)

    reconciler.tick()

    order.refresh_from_db()
    payment.refresh_from_db()
    assert order.flags == ["checks_exhausted"]
    assert payment.next_check_at is None


def test_a_claim_that_ran_out_in_line_is_left_to_whoever_claims_it_next(
    provider: SandboxProcess,
) -> None:
    _, payment = begun()
    make_due(payment)
    (claim,) = checks.claim_due(timezone.now(), 1)
    asked = provider.control("GET", "calls").get("fetch", 0)

    late = reconciler._look(replace(claim, until=timezone.now()))
    in_time = reconciler._look(claim)

    assert (late.found, in_time.found) == ("left", "nothing_new")
    assert provider.control("GET", "calls")["fetch"] - asked == 1


def test_two_ticks_at_once_ask_about_each_payment_once(provider: SandboxProcess) -> None:
    payments = [begun()[1] for _ in range(6)]
    for payment in payments:
        make_due(payment)

    def tick(_: int) -> int:
        try:
            return reconciler.tick().checked
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        checked = sum(pool.map(tick, range(2)))

    assert checked == 6
    assert PaymentCheck.objects.count() == 6


def test_an_overdue_order_without_a_payment_expires_unasked(provider: SandboxProcess) -> None:
    order, _ = begun()
    Payment.objects.update(status="failed", next_check_at=None)
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    tick = reconciler.tick()

    order.refresh_from_db()
    assert (tick.expired, tick.checked, order.state) == (1, 0, "expired")


def test_an_overdue_order_is_asked_about_called_off_and_then_expires(
    provider: SandboxProcess,
) -> None:
    order, payment = begun()
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    reconciler.tick()

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.state, payment.status) == ("expired", "cancelled")


def test_an_overdue_order_that_was_paid_unheard_is_paid(provider: SandboxProcess) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "pay")
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    reconciler.tick()

    order.refresh_from_db()
    assert order.state == "paid"


def test_an_overdue_order_whose_payments_timetable_is_over_is_asked_about_once_more(
    provider: SandboxProcess,
) -> None:
    order, payment = begun()
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    Payment.objects.update(next_check_at=None)

    reconciler.tick()

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.state, payment.status) == ("expired", "cancelled")


def test_an_attempt_that_failed_is_called_off_when_its_order_is_cancelled(
    provider: SandboxProcess,
) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "decline")
    refresh.refresh_payment(payment.pk, cause=API)
    Payment.objects.update(next_check_at=None)

    provider_calls.cancel_order(order.ref, reason="", cause=API)
    reconciler.tick()

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.state, payment.status) == ("cancelled", "cancelled")


def test_an_overdue_order_waits_for_a_provider_that_is_away(provider: SandboxProcess) -> None:
    order, _ = begun()
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    provider.set_faults({"fault": "answer_503", "count": 50})

    reconciler.tick()
    again = reconciler.tick()

    order.refresh_from_db()
    assert order.state == "awaiting_payment"
    assert again.checked == 0  # asked once, then left until its postponed time


def test_a_receipt_that_matches_nothing_is_tried_again_and_then_flagged(
    provider: SandboxProcess,
) -> None:
    receipt = CallbackReceipt.objects.create(
        provider="house",
        event_id="evt_1",
        merchant_ref="f" * 32,
        body="{}",
        outcome="unmatched",
        next_try_at=timezone.now(),
    )

    for _ in range(10):
        CallbackReceipt.objects.filter(next_try_at__isnull=False).update(next_try_at=timezone.now())
        reconciler.tick()

    receipt.refresh_from_db()
    assert (receipt.tries, receipt.next_try_at, receipt.needs_review) == (7, None, True)


@pytest.mark.usefixtures("database")
def test_the_schedule_is_installed_once_and_keeps_what_staff_changed() -> None:
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    schedule.install()
    slower = IntervalSchedule.objects.create(every=60, period="seconds")
    PeriodicTask.objects.filter(name=schedule.RECONCILE).update(interval=slower)

    schedule.install()

    task = PeriodicTask.objects.get(name=schedule.RECONCILE)
    assert (task.interval, task.task) == (slower, "workers.tasks.reconcile")
