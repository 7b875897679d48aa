"""The one entry for what a provider says: applied once, never on a mismatch, and a conflict only when it was asked."""

from datetime import timedelta

import pytest
from django.utils import timezone

from orders.commands import snapshots
from orders.models import Order, OrderEvent, Payment
from tests.builders import (
    API,
    a_payment,
    an_order,
    an_order_that_is,
    at_once,
    journal_of,
    refused,
    tell,
    told,
)

pytestmark = pytest.mark.usefixtures("database")


def test_what_is_applied_is_kept_with_the_payment() -> None:
    order = an_order()
    payment = a_payment(order)

    outcome = tell(payment, "pending", provider_ref="pay_7", checkout_url="https://pay.example/7")

    assert outcome == "applied"
    assert (payment.status, payment.provider_ref) == ("pending", "pay_7")
    assert (payment.checkout_url, payment.profile) == ("https://pay.example/7", "waiting")
    assert payment.next_check_at is not None


def test_a_payment_that_is_over_is_not_looked_at_again() -> None:
    payment = a_payment(an_order(), "pending", next_check_at=timezone.now())

    tell(payment, "captured")

    assert (payment.captured, payment.next_check_at) == (1_000, None)


def test_a_mismatch_is_flagged_once_and_never_paid() -> None:
    order = an_order()
    payment = a_payment(order, "pending")

    outcomes = [tell(payment, "captured", amount=1_001) for _ in range(2)]

    order.refresh_from_db()
    assert outcomes == ["mismatch", "mismatch"]
    assert (order.state, order.captured, order.flags) == ("created", 0, ["mismatch"])
    assert (payment.status, payment.captured) == ("pending", 0)


def test_what_is_out_of_step_unasked_brings_the_next_question_forward() -> None:
    order = an_order_that_is("paid")
    payment = a_payment(order, "captured", captured=1_000)

    outcome = tell(payment, "processing")

    assert outcome == "asking"
    assert payment.next_check_at is not None
    assert abs(payment.next_check_at - timezone.now()) < timedelta(seconds=5)
    assert order.version == Order.objects.get().version


def test_an_answer_that_is_out_of_step_is_a_conflict_once() -> None:
    order = an_order_that_is("paid")
    payment = a_payment(order, "captured", captured=1_000)

    first = tell(payment, "processing", seen=order.version)
    order.refresh_from_db()
    again = tell(payment, "processing", seen=order.version)

    order.refresh_from_db()
    assert (first, again) == ("conflict", "conflict")
    assert (order.state, order.flags) == ("paid", ["conflict"])
    assert journal_of(order)[2:] == [(3, "order.conflict", "paid"), (4, "order.flagged", "paid")]
    row = OrderEvent.objects.get(order=order, type="order.conflict")
    assert row.data == {"payment": payment.ref, "ours": "captured", "theirs": "processing"}


def test_an_answer_to_a_question_from_before_a_move_is_no_conflict() -> None:
    order = an_order_that_is("paid")
    payment = a_payment(order, "captured", captured=1_000)

    outcome = tell(payment, "processing", seen=order.version - 1)

    order.refresh_from_db()
    assert (outcome, order.flags) == ("asking", [])


def test_a_look_that_is_logged_meanwhile_is_not_overwritten() -> None:
    payment = a_payment(an_order(), "pending")
    asked_at = timezone.now()

    class Slow(str):
        """A failure code that takes its time: the look is logged while the answer is applied."""

        __slots__ = ()

        def __getitem__(self, key: object) -> str:
            Payment.objects.filter(pk=payment.pk).update(last_checked_at=asked_at)
            return ""

    snapshots.apply_snapshot(payment.pk, told(payment, "failed", failure_code=Slow("x")), API)

    payment.refresh_from_db()
    assert (payment.status, payment.last_checked_at) == ("failed", asked_at)


def test_two_answers_at_once_are_applied_once() -> None:
    order = an_order()
    payment = a_payment(order, "pending")
    snapshot = told(payment, "captured")

    results = at_once(*[lambda: snapshots.apply_snapshot(payment.pk, snapshot, API)[0]] * 4)

    assert refused(results) == []
    assert sorted(map(str, results)) == ["applied", "nothing_new", "nothing_new", "nothing_new"]
    assert journal_of(order)[1:] == [(2, "payment.captured", "paid")]


def test_two_attempts_that_both_succeed_leave_the_order_paid_and_flagged() -> None:
    order = an_order()
    first, second = a_payment(order, "pending"), a_payment(order, "pending")

    tell(first, "captured")
    tell(second, "captured")

    order.refresh_from_db()
    assert (order.state, order.captured, order.flags) == ("paid", 2_000, ["overpaid"])
