"""Asking providers again: for the reconciler, for staff who force a refresh, and before an order expires."""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from django.db import transaction
from structlog.contextvars import bound_contextvars

from orders import clock
from orders.commands import expiry, provider_calls, refunds, review
from orders.commands.snapshots import apply_snapshot
from orders.domain.cause import Cause
from orders.domain.errors import OrderNotFound, ProviderRefused
from orders.domain.outcomes import IN_AGREEMENT, Found
from orders.domain.payment_status import LIVE, OwnStatus
from orders.domain.states import UNPAID
from orders.models import Order, Payment
from orders.payments import base, registry
from orders.schedule import checks

log = logging.getLogger(__name__)

_OPEN_THERE = {*LIVE - {OwnStatus.INTENDED}, base.PaymentStatus.FAILED}


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
    """Ask the provider about one payment, apply the answer, and log the check.

    Whatever of ours was never answered (a create, a refund, a cancel) is asked again first, with its own key.
    """
    payment = Payment.objects.select_related("order").get(pk=payment_id)
    with bound_contextvars(order=payment.order.ref, payment=payment.ref):
        return _check(payment, cause, claim)


def _check(payment: Payment, cause: Cause, claim: checks.Claim | None) -> Refreshed:
    began = time.monotonic()
    result = _ask(payment, cause)
    result = replace(result, took_ms=round((time.monotonic() - began) * 1000))
    log.debug("checked: %s", result.found)
    _conclude(payment, result, cause, claim)
    after = Payment.objects.select_related("order").get(pk=payment.pk)
    state = after.order.state
    if result.found in IN_AGREEMENT and (_is_unwanted(after) or _is_overdue(after.order)):
        _close(after, cause)
        state = Order.objects.values_list("state", flat=True).get(pk=payment.order_id)
    return Refreshed(payment=payment.ref, found=result.found, detail=result.detail, state=state)


def _conclude(
    payment: Payment, result: checks.CheckResult, cause: Cause, claim: checks.Claim | None
) -> None:
    """Log the check and, at the profile's end, flag the order; in one transaction, or a crash would mean silence."""
    with transaction.atomic():
        order = Order.objects.locked(payment.order.ref)  # before the payment, as everywhere
        if checks.record_check(payment.pk, result, cause, clock.now(), claim):
            detail = f"payment {payment.ref} is still {payment.status} after the last check of its profile"
            review.flag_for_review(order, "checks_exhausted", detail, cause)


def _ask(payment: Payment, cause: Cause) -> checks.CheckResult:
    try:
        provider = registry.get(payment.provider)
    except registry.UnknownProvider as error:
        return checks.CheckResult(found=Found.ERROR, detail=str(error))
    try:
        seen = payment.order.version
        provider_calls.let_the_database_go()
        incoming = provider.fetch(payment.ref, payment.provider_ref or None)
    except base.NotFound as error:
        if payment.status != OwnStatus.INTENDED:
            return provider_calls.check_result_of(error)
        return _create_again(provider, payment, cause)
    except base.ProviderError as error:
        return provider_calls.check_result_of(error)
    outcome, detail = apply_snapshot(payment.pk, incoming, cause, seen=seen)
    _repeat_unanswered(payment, incoming, cause)
    return checks.CheckResult(found=Found(outcome), detail=detail)


def _repeat_unanswered(payment: Payment, incoming: base.Snapshot, cause: Cause) -> None:
    """Send again what was never answered, and what the provider does not know of: its memory for keys is short."""
    known = {refund.ref for refund in incoming.refunds}
    for refund in payment.refunds.filter(status=OwnStatus.INTENDED) if payment.captured else ():
        if refund.ref not in known:
            with suppress(
                ProviderRefused
            ):  # recorded already, and no reason not to look at the rest
                refunds.send_refund(refund, cause)


def _create_again(provider: base.Provider, payment: Payment, cause: Cause) -> checks.CheckResult:
    """Our create was lost on the way. Repeat it with its key, unless nobody wants it any more."""
    order = payment.order
    if not order.is_payable(clock.now()):
        provider_calls.close_unsent(payment, cause)
        return checks.CheckResult(found=Found.APPLIED, detail="never sent, and no longer wanted")
    request = provider_calls.create_request(payment)
    provider_calls.let_the_database_go()
    try:
        incoming = provider.create(request)
    except base.RequestRefused as refused:
        incoming = provider_calls.refused_snapshot(payment, refused)
    except base.ProviderError as error:
        return provider_calls.check_result_of(error)
    outcome, detail = apply_snapshot(payment.pk, incoming, cause)
    return checks.CheckResult(
        found=Found(outcome), detail=detail or "created again with the same key"
    )


def _is_unwanted(payment: Payment) -> bool:
    """It could still be paid there, and its order is paid, closed or being cancelled."""
    order = payment.order
    return payment.status in _OPEN_THERE and (order.is_cancelling or order.state not in UNPAID)


def _is_overdue(order: Order) -> bool:
    return order.state in UNPAID and order.is_past_deadline(clock.now())


def _close(payment: Payment, cause: Cause) -> None:
    """The provider has just been asked: call off what nobody wants any more, and expire what is past its deadline.

    Limit: an order with an attempt that the provider does not call off stays as it is, until its checks are exhausted.
    """
    order = payment.order
    if _is_unwanted(payment):
        provider_calls.call_off(payment, cause, is_urgent=False)
    if not _is_overdue(order):
        return
    waiting = {base.PaymentStatus.PENDING, base.PaymentStatus.FAILED}
    for other in order.payments.filter(status__in=waiting).exclude(provider_ref=""):
        provider_calls.call_off(other, cause, is_urgent=False)
    expiry.expire_order(order.ref, now=clock.now(), cause=cause)
