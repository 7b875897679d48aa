"""Talking with providers: write down what is intended and commit; then call; then apply the answer.

No call is made inside a transaction. A crash between any two steps leaves a row that the reconciler finds, and
settles with the same key. All functions here are synchronous and take as long as the provider's timeout at most.
"""

from django.conf import settings
from django.db import connection, transaction
from django.urls import reverse

from orders import clock
from orders.access import Credentials, return_codes
from orders.access.links import page_url
from orders.commands import lifecycle
from orders.commands.snapshots import apply_snapshot
from orders.domain.cause import Cause
from orders.domain.errors import (
    DeadlinePassed,
    IdempotencyConflict,
    IllegalMove,
    NotOffered,
    ProviderRefused,
)
from orders.domain.outcomes import Found
from orders.domain.payment_status import OwnStatus
from orders.domain.states import UNPAID, legal_moves
from orders.models import Order, Payment
from orders.payments import base, registry
from orders.schedule import checks


def start_payment(
    ref: str,
    *,
    mode: str,
    cause: Cause,
    provider: str | None = None,
    return_url: str = "",
    grant: Credentials | None = None,
    idempotency_key: str | None = None,
) -> Payment:
    """Begin an attempt to pay the order; the same key gives the attempt that it began before.

    Without a `return_url` the checkout leads back to the order's page, by a one-time code for what `grant` shows.

    In mode "sync" the provider is asked to settle within the call. Where it cannot answer, the payment stays as
    intended and the reconciler goes on with it. Raises `OrderNotFound`, `IllegalMove`, `DeadlinePassed`,
    `IdempotencyConflict`, `NotOffered`, `ProviderRefused`.
    """
    payment, is_new = _intend_payment(ref, mode, provider, return_url, grant, idempotency_key)
    if not is_new:
        return payment
    try:
        request = create_request(payment)
        let_the_database_go()
        incoming = registry.get(payment.provider).create(request)
    except base.RequestRefused as refused:
        apply_snapshot(payment.pk, refused_snapshot(payment, refused), cause)
        raise ProviderRefused(f"{payment.provider} refused the payment: {refused}") from refused
    except base.ProviderError as error:
        checks.record_check(payment.pk, check_result_of(error), cause, clock.now(), None)
    else:
        apply_snapshot(payment.pk, incoming, cause)
    payment.refresh_from_db()
    return payment


def let_the_database_go() -> None:
    """Before a provider is asked: it may take its time, and there are few connections to the database."""
    if not connection.in_atomic_block:
        connection.close()  # gives it back to the pool


@transaction.atomic
def _intend_payment(
    ref: str,
    mode: str,
    provider: str | None,
    return_url: str,
    grant: Credentials | None,
    key: str | None,
) -> tuple[Payment, bool]:
    order = Order.objects.locked(ref)
    if key and (earlier := order.payments.filter(idempotency_key=key).first()):
        if mode != earlier.mode or provider not in {None, earlier.provider}:
            raise IdempotencyConflict(key)
        return earlier, False
    if order.state not in UNPAID or order.is_cancelling:
        raise IllegalMove(ref, order.state, "start", legal_moves(order.state))
    if order.expires_at is not None and order.is_past_deadline(clock.now()):
        raise DeadlinePassed(ref, order.expires_at)
    name = provider or settings.ORDERCAST_DEFAULT_PROVIDER
    offered = registry.get(name).capabilities
    if mode == Payment.Mode.SYNC and not offered.synchronous:
        raise NotOffered(
            f"{name} cannot complete a payment within the call; use mode {Payment.Mode.CALLBACK}."
        )
    payment = Payment(
        order=order,
        provider=name,
        mode=mode,
        idempotency_key=key,
        return_url=return_url or page_url(ref),
        amount=order.total - max(0, order.captured - order.refunded),
        currency=order.currency,
    )
    checks.schedule(payment, clock.now())
    payment.save(force_insert=True)
    if not return_url:
        return_codes.issue(payment, grant)
    return payment, True


def create_request(payment: Payment) -> base.CreatePayment:
    home = settings.ORDERCAST_PUBLIC_URL
    return base.CreatePayment(
        merchant_ref=payment.ref,
        amount=payment.amount,
        currency=payment.currency,
        return_url=return_codes.return_url(payment),
        callback_url=home + reverse("callback", args=[payment.provider]),
        confirm=payment.mode == Payment.Mode.SYNC,
        description=f"Order {payment.order.ref[:8]}",
        metadata=payment.order.metadata,
    )


def refused_snapshot(payment: Payment, refused: base.RequestRefused) -> base.Snapshot:
    return base.Snapshot(
        merchant_ref=payment.ref,
        provider_ref=payment.provider_ref,
        status=base.PaymentStatus.FAILED,
        amount=payment.amount,
        currency=payment.currency,
        failure_code=refused.code,
        failure_message=str(refused),
    )


def cancel_order(ref: str, *, reason: str, cause: Cause) -> Order:
    """Cancel the order: at once if nothing was ever sent, else when the provider has confirmed.

    Raises `OrderNotFound`, `CannotCancel`, `IllegalMove`. A provider that is away is asked again by the reconciler.
    """
    _, live = lifecycle.intend_cancellation(ref, reason=reason, cause=cause)
    for payment in live:
        call_off(payment, cause)
    return Order.objects.get(ref=ref)


def call_off(payment: Payment, cause: Cause, *, is_urgent: bool = True) -> None:
    """Ask the provider to cancel; if it does not, an urgent wish brings the next look forward."""
    request = base.CancelPayment(merchant_ref=payment.ref, provider_ref=payment.provider_ref)
    provider = registry.get(payment.provider)
    let_the_database_go()
    try:
        incoming = provider.cancel(request)
    except base.NotFound as error:
        if payment.status == OwnStatus.INTENDED:
            close_unsent(payment, cause)
        else:  # they had it once: not for us to say what became of it
            checks.record_check(payment.pk, check_result_of(error), cause, clock.now(), None)
    except base.ProviderError as error:
        # Refused too: money may have moved this very moment. The next fetch tells.
        checks.record_check(payment.pk, check_result_of(error), cause, clock.now(), None)
        if is_urgent:
            Payment.objects.filter(pk=payment.pk).update(next_check_at=clock.now())
    else:
        apply_snapshot(payment.pk, incoming, cause)


def close_unsent(payment: Payment, cause: Cause) -> None:
    """The provider has never heard of it, and by its key never will: the attempt is over."""
    gone = base.RequestRefused("the provider never received this payment", code=checks.NEVER_SENT)
    apply_snapshot(payment.pk, refused_snapshot(payment, gone), cause)


_FOUND: dict[type[base.ProviderError], Found] = {
    base.NotFound: Found.NOT_FOUND,
    base.RequestRefused: Found.REFUSED,
    base.RateLimited: Found.RATE_LIMITED,
    base.Unavailable: Found.UNAVAILABLE,
    base.AmbiguousOutcome: Found.AMBIGUOUS,
    base.Malformed: Found.MALFORMED,
}


def check_result_of(error: base.ProviderError) -> checks.CheckResult:
    return checks.CheckResult(
        found=_FOUND.get(type(error), Found.ERROR),
        detail=str(error),
        is_attempt=not isinstance(error, base.RateLimited | base.Unavailable),
        retry_after=getattr(error, "retry_after", None),
    )
