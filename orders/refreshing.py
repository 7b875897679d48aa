"""Asking providers again: for the reconciler, for staff who force a refresh, and before an order expires."""

import time
from contextlib import suppress
from dataclasses import dataclass, replace

from django.utils import timezone

from orders import checks, commands, conversations
from orders.cause import Cause
from orders.commands import Outcome, apply_snapshot
from orders.decisions import INTENDED, LIVE
from orders.errors import OrderNotFound, ProviderRefused
from orders.models import Order, Payment
from orders.payments import base, registry
from orders.states import UNPAID


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What asking the provider about one payment found."""

    payment: str
    found: str
    detail: str
    state: str  # the order's, afterwards


def refresh_order(ref: str, *, cause: Cause) -> list[Refreshed]:
    """Ask the provider about every payment of the order, now. Raises `OrderNotFound`."""
    if not Order.objects.filter(ref=ref).exists():
        raise OrderNotFound(ref)
    payments = Payment.objects.filter(order__ref=ref).order_by("pk")
    return [refresh_payment(pk, cause=cause) for pk in payments.values_list("pk", flat=True)]


def refresh_payment(
    payment_id: int, *, cause: Cause, claim: checks.Claim | None = None
) -> Refreshed:
    """Ask the provider about one payment, let the answer in by the door, and log the look.

    Whatever of ours was never answered (a create, a refund, a cancel) is asked again first, with its own key.
    """
    payment = Payment.objects.select_related("order").get(pk=payment_id)
    began = time.monotonic()
    look = _ask(payment, cause)
    look = replace(look, took_ms=round((time.monotonic() - began) * 1000))
    if checks.note(payment_id, look, cause, timezone.now(), claim):
        detail = (
            f"payment {payment.ref} is still {payment.status} after the last check of its profile"
        )
        commands.flag_order(
            payment.order.ref, reason="checks_exhausted", detail=detail, cause=cause
        )
    state = Order.objects.values_list("state", flat=True).get(pk=payment.order_id)
    return Refreshed(payment=payment.ref, found=look.found, detail=look.detail, state=state)


def _ask(payment: Payment, cause: Cause) -> checks.Look:
    provider = registry.get(payment.provider)
    try:
        _repeat_unanswered(payment, cause)
        seen = Order.objects.values_list("version", flat=True).get(pk=payment.order_id)
        told = provider.fetch(payment.ref, payment.provider_ref or None)
    except base.NotFound as error:
        if payment.status != INTENDED:
            return conversations.look_of(error)
        return _create_again(provider, payment, cause)
    except base.ProviderError as error:
        return conversations.look_of(error)
    outcome, detail = apply_snapshot(payment.pk, told, cause, seen=seen)
    return checks.Look(found=outcome, detail=detail)


def _repeat_unanswered(payment: Payment, cause: Cause) -> None:
    for refund in payment.refunds.filter(status=INTENDED):
        with suppress(ProviderRefused):  # recorded already, and no reason not to look at the rest
            conversations.send_refund(refund, cause)
    if payment.order.is_cancelling and payment.status in LIVE and payment.status != INTENDED:
        conversations.call_off(payment, cause)


def _create_again(provider: base.Provider, payment: Payment, cause: Cause) -> checks.Look:
    """Our create was lost on the way. Repeat it with its key, unless nobody wants it any more."""
    if payment.order.is_cancelling or payment.order.state not in UNPAID:
        conversations.close_unsent(payment, cause)
        return checks.Look(found=Outcome.APPLIED, detail="never sent, and no longer wanted")
    try:
        told = provider.create(conversations.create_request(payment))
    except base.Refused as refused:
        told = conversations.refused_snapshot(payment, refused)
    except base.ProviderError as error:
        return conversations.look_of(error)
    outcome, detail = apply_snapshot(payment.pk, told, cause)
    return checks.Look(found=outcome, detail=detail or "created again with the same key")


def expire_if_unpaid(ref: str, *, cause: Cause) -> bool:
    """Expire an order past its deadline, after asking the provider about each open payment and calling it off.

    False where the provider could not be asked, or where the order turned out to be paid or under way.
    """
    order = Order.objects.get(ref=ref)
    for payment in order.payments.filter(status__in=LIVE):
        refreshed = refresh_payment(payment.pk, cause=cause)
        if refreshed.found not in {Outcome.APPLIED, Outcome.NOTHING_NEW}:
            return False
        payment.refresh_from_db()
        if payment.status == base.PaymentStatus.PENDING:
            conversations.call_off(payment, cause)
    if Payment.objects.filter(order=order, status__in=LIVE).exists():
        return False
    return commands.expire_order(ref, now=timezone.now(), cause=cause)
