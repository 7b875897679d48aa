"""What a person is asked to look at, and what they decide: flags, and money that came too late."""

from django.db import transaction

from orders.domain import events
from orders.domain.cause import Cause
from orders.domain.decisions import LATE_PAYMENT, flag
from orders.domain.errors import InvalidRequest
from orders.domain.payment_status import OPEN_REFUND
from orders.domain.states import MOVES
from orders.journal import writer
from orders.models import Order, Refund
from orders.payments import money


def flag_for_review(order: Order, reason: str, detail: str, cause: Cause) -> None:
    """Flag a locked order, once for each reason until it is cleared."""
    if reason not in order.flags:
        writer.record(order, flag(reason, detail), cause)


@transaction.atomic
def flag_order(ref: str, *, reason: str, detail: str, cause: Cause) -> Order:
    """Flag an order for review."""
    order = Order.objects.locked(ref)
    flag_for_review(order, reason, detail, cause)
    return order


@transaction.atomic
def clear_review(ref: str, *, reason: str, cause: Cause) -> Order:
    """A person has looked: take all flags off, and say why. Raises `InvalidRequest` where there are none."""
    order = Order.objects.locked(ref)
    if not order.flags:
        raise InvalidRequest(f"Order {ref} has no flag to clear.")
    writer.record(order, events.ReviewCleared(cleared=list(order.flags), reason=reason), cause)
    return order


@transaction.atomic
def accept_late_payment(ref: str, *, reason: str, cause: Cause) -> Order:
    """Staff take the money that came after the order was closed, which settles its flag.

    Raises `IllegalMove`, `InvalidRequest`. To send it back instead: `orders.commands.refunds.return_late_payment`.
    """
    order = Order.objects.locked(ref)
    if (
        order.captured - order.refunded < order.total
        and order.state in MOVES["accept_late_payment"].sources
    ):
        left = money.plain(order.captured - order.refunded, order.currency)
        raise InvalidRequest(
            f"Order {ref} holds {left} of {money.plain(order.total, order.currency)}: "
            "a late payment can be accepted when the whole total has arrived."
        )
    if Refund.objects.filter(payment__order=order, status__in=OPEN_REFUND).exists():
        raise InvalidRequest(
            f"Order {ref} has a refund under way: a late payment can be accepted once that is settled."
        )
    order.make("accept_late_payment", events.LatePaymentAccepted(reason=reason), cause)
    given_back = order.payments.filter(refunded__gt=0).first()
    if given_back is not None:  # while it was closed: its amounts say where it stands
        back = events.RefundChanged(payment=given_back.ref, refunded=order.refunded)
        order.make("refund_changed", back, cause)
    if LATE_PAYMENT in order.flags:
        writer.record(order, events.ReviewCleared(cleared=[LATE_PAYMENT], reason=reason), cause)
    return order
