"""One order that somebody has locked costs the reconciler and staff that order, and nothing else."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orders.models import CallbackReceipt, Order, Payment
from tests.builders import a_payment, an_order
from tests.outage import locked
from tests.sandbox import SandboxProcess
from tests.workers.conftest import begun, make_due
from workers import reconciler

LOCK = "SELECT 1 FROM orders_order o JOIN orders_payment p ON p.order_id = o.id WHERE o.id = %s FOR UPDATE"
LOCK_ORDER = "SELECT 1 FROM orders_order WHERE id = %s FOR UPDATE"


def overdue() -> Order:
    order = an_order()
    Order.objects.filter(pk=order.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    return order


def test_a_tick_finds_others_paid_and_overdue_while_an_order_is_locked(
    provider: SandboxProcess,
) -> None:
    (theirs, their_payment), (ours, our_payment) = begun(), begun()
    for payment in (their_payment, our_payment):
        provider.act(payment.provider_ref, "pay")
        make_due(payment)
    unpaid, other = overdue(), overdue()

    with locked(LOCK_ORDER, theirs.pk), locked(LOCK_ORDER, unpaid.pk):
        tick = reconciler.tick()

    assert tick.found == {"applied": 1, "left": 1}
    assert tick.expired == 1
    states = dict(Order.objects.values_list("pk", "state"))
    assert states[ours.pk] == "paid"
    assert states[theirs.pk] == "awaiting_payment"
    assert states[other.pk] == "expired"
    # It was claimed, and comes back by itself when the claim runs out.
    assert Payment.objects.get(pk=their_payment.pk).next_check_at is not None


def test_a_locked_payment_holds_up_neither_deadlines_nor_unmatched_callbacks(
    provider: SandboxProcess,
) -> None:
    theirs, ours = (a_payment(overdue(), "pending") for _ in range(2))
    later = timezone.now() + timedelta(hours=1)
    Payment.objects.update(next_check_at=later)
    for payment in (theirs, ours):
        CallbackReceipt.objects.create(
            provider="house", event_id=payment.ref, merchant_ref=payment.ref, body="{}",
            outcome="unmatched", next_try_at=timezone.now(),
        )  # fmt: skip

    with locked(LOCK, theirs.order_id):
        reconciler.tick()

    matched = dict(CallbackReceipt.objects.values_list("event_id", "outcome"))
    assert matched == {theirs.ref: "unmatched", ours.ref: "asking"}
    assert Payment.objects.get(pk=theirs.pk).next_check_at == later
    assert Payment.objects.get(pk=ours.pk).last_checked_at is not None


def test_what_staff_do_to_many_is_done_to_those_that_nobody_has_locked(
    provider: SandboxProcess,
) -> None:
    theirs, ours = an_order(), an_order()
    client = Client()
    client.force_login(User.objects.create_superuser("rosa"))
    form = {
        "action": "flag", "_selected_action": [theirs.pk, ours.pk],
        "confirm": "yes", "reason": "look at these",
    }  # fmt: skip

    with locked(LOCK_ORDER, theirs.pk):
        answer = client.post("/admin/orders/order/", form)

    assert answer.status_code == 200
    assert "Something else is happening to it just now" in answer.content.decode()
    flags = dict(Order.objects.values_list("pk", "needs_review"))
    assert flags == {theirs.pk: False, ours.pk: True}
