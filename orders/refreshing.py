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
    if look.found in {Outcome.APPLIED, Outcome.NOTHING_NEW}:
        _expire_if_due(payment, cause)
    state = Order.objects.values_list("state", flat=True).get(pk=payment.order_id)
    return Refreshed(payment=payment.ref, found=look.found, detail=look.detail, state=state)


def _ask(payment: Payment, cause: Cause) -> checks.Look:
    try:
        provider = registry.get(payment.provider)
    except registry.UnknownProvider as error:
        return checks.Look(found="error", detail=str(error))
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
        conversations.call_off(payment, cause, is_urgent=False)


def _create_again(provider: base.Provider, payment: Payment, cause: Cause) -> checks.Look:
    """Our create was lost on the way. Repeat it with its key, unless nobody wants it any more."""
    order = payment.order
    is_over = order.expires_at is not None and order.expires_at <= timezone.now()
    if order.is_cancelling or is_over or order.state not in UNPAID:
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


def _expire_if_due(payment: Payment, cause: Cause) -> None:
    """The provider has just been asked: past the deadline, call off what is still open there, then expire."""
    order = payment.order
    now = timezone.now()
    if order.expires_at is None or order.expires_at > now:
        return
    for pending in Payment.objects.filter(order=order, status=base.PaymentStatus.PENDING):
        conversations.call_off(pending, cause, is_urgent=False)
    if not Payment.objects.filter(order=order, status__in=LIVE).exists():
        commands.expire_order(order.ref, now=now, cause=cause)
