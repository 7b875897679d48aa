"""Money that goes back: written down and committed, then asked for; its state follows what the provider says."""

from django.db import transaction

from orders import clock
from orders.commands.provider_calls import check_result_of, let_the_database_go
from orders.commands.snapshots import apply_snapshot
from orders.domain import events
from orders.domain.cause import Cause
from orders.domain.errors import (
    IdempotencyConflict,
    IllegalMove,
    NothingToRefund,
    NotOffered,
    OrderNotFound,
    ProviderRefused,
)
from orders.domain.payment_status import OPEN_REFUND, OwnStatus
from orders.domain.states import CLOSED_UNPAID, MOVES, legal_moves
from orders.journal import writer
from orders.models import Order, Payment, Refund
from orders.payments import base, money, registry
from orders.schedule import checks


def request_refund(
    ref: str, *, amount: int | None, reason: str, cause: Cause, idempotency_key: str | None = None
) -> Refund:
    """Give back `amount` (minor units; None: all that is left). The same key gives the refund that it began before.

    Raises `OrderNotFound`, `IllegalMove`, `NothingToRefund`, `IdempotencyConflict`, `NotOffered`, `ProviderRefused`.
    """
    refund, is_new = _intend_refund(ref, amount, reason, idempotency_key, cause)
    if is_new:
        send_refund(refund, cause)
        refund.refresh_from_db()
    return refund


def return_late_payment(ref: str, *, reason: str, cause: Cause) -> list[Refund]:
    """Send back all money that came after the order was closed: a refund for each of its payments.

    The order's flag goes once the provider says that all of it has gone back. Raises `OrderNotFound`, `IllegalMove`
    where the order is not closed, `NothingToRefund`, `NotOffered`, `ProviderRefused`.
    """
    state = Order.objects.filter(ref=ref).values_list("state", flat=True).first()
    if state is None:
        raise OrderNotFound(ref)
    if state not in CLOSED_UNPAID:
        raise IllegalMove(ref, state, "return_late_payment", legal_moves(state))
    made: list[Refund] = []
    while True:
        try:
            made.append(request_refund(ref, amount=None, reason=reason, cause=cause))
        except NothingToRefund:
            if not made:
                raise
            return made


@transaction.atomic
def _intend_refund(
    ref: str, amount: int | None, reason: str, key: str | None, cause: Cause
) -> tuple[Refund, bool]:
    order = Order.objects.locked(ref)
    if key and (
        earlier := Refund.objects.filter(payment__order=order, idempotency_key=key).first()
    ):
        if amount not in {None, earlier.amount}:
            raise IdempotencyConflict(key)
        return earlier, False
    is_late = order.state in CLOSED_UNPAID and order.captured > 0
    if not is_late and order.state not in MOVES["refund_changed"].sources:
        raise IllegalMove(ref, order.state, "refund", legal_moves(order.state))
    payment, left = _refundable(order)
    wanted = left if amount is None else amount
    if payment is None or wanted > left:
        raise NothingToRefund(
            f"Order {ref} has {money.plain(left, order.currency)} left to refund; "
            f"{money.plain(wanted, order.currency)} was requested."
        )
    _check_refund_is_offered(payment, wanted)
    refund = Refund.objects.create(
        payment=payment, amount=wanted, reason=reason, idempotency_key=key
    )
    event = events.RefundRequested(
        payment=payment.ref, refund=refund.ref, amount=wanted, reason=reason
    )
    writer.record(order, event, cause)
    checks.schedule(payment, clock.now())
    payment.save(update_fields=["profile", "step", "next_check_at"])
    return refund, True


def _check_refund_is_offered(payment: Payment, amount: int) -> None:
    offered = registry.get(payment.provider).capabilities
    if not offered.refund:
        raise NotOffered(
            f"{payment.provider} takes no refunds over its API: "
            "make it there, and the next check of the payment finds it."
        )
    if not offered.partial_refund and amount != payment.captured:
        raise NotOffered(
            f"{payment.provider} refunds the whole {money.plain(payment.captured, payment.currency)} or nothing; "
            f"{money.plain(amount, payment.currency)} was requested."
        )


def _refundable(order: Order) -> tuple[Payment | None, int]:
    """The payment with the most left to give back, and how much that is, less what is already on its way."""
    best: tuple[Payment | None, int] = (None, 0)
    for payment in order.payments.filter(captured__gt=0):
        under_way = payment.refunds.filter(status__in=OPEN_REFUND)
        left = payment.captured - payment.refunded - sum(r.amount for r in under_way)
        if left > best[1]:
            best = (payment, left)
    return best


def send_refund(refund: Refund, cause: Cause) -> None:
    payment = refund.payment
    request = base.RefundPayment(
        ref=refund.ref,
        merchant_ref=payment.ref,
        provider_ref=payment.provider_ref,
        amount=refund.amount,
        reason=refund.reason,
    )
    let_the_database_go()
    try:
        incoming = registry.get(payment.provider).refund(request)
    except base.RequestRefused as refused:
        _record_refusal(refund, cause)
        raise ProviderRefused(f"{payment.provider} refused the refund: {refused}") from refused
    except base.ProviderError as error:
        checks.record_check(payment.pk, check_result_of(error), cause, clock.now(), None)
    else:
        apply_snapshot(payment.pk, incoming, cause)


@transaction.atomic
def _record_refusal(refund: Refund, cause: Cause) -> None:
    order = Order.objects.locked(refund.payment.order.ref)
    if not Refund.objects.filter(pk=refund.pk, status=OwnStatus.INTENDED).update(
        status=OwnStatus.REFUSED
    ):
        return  # asked twice at once, and recorded by the other
    event = events.RefundFailed(payment=refund.payment.ref, refund=refund.ref, amount=refund.amount)
    writer.record(order, event, cause)
