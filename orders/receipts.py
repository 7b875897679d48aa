"""What providers call back with: stored as it came, and applied, in one transaction.

A duplicate is answered with success because its first copy was committed together with what it did. One that
matches no payment is kept and tried again for minutes, since a callback can overtake our own create call.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from orders.cause import Cause, Source
from orders.checking import MINUTE, SECOND
from orders.commands import Outcome, apply_snapshot
from orders.models import CallbackReceipt, Payment
from orders.payments.base import ProviderEvent
from orders.redaction import redact

TRIES = (5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE)
_KEPT_HEADERS = ("content-type", "user-agent", "webhook-id", "webhook-timestamp")


@transaction.atomic
def accept(
    provider: str, event: ProviderEvent, *, body: bytes, headers: Mapping[str, str]
) -> Outcome:
    """Store one item of a callback and let it move its order. Committed when the outermost transaction is."""
    # Locked: of two copies at once of one that matched nothing before, only one may let it in.
    receipt, is_new = CallbackReceipt.objects.select_for_update().get_or_create(
        provider=provider,
        event_id=event.event_id[:200],
        defaults={
            "kind": event.kind[:64],
            "merchant_ref": _storable(event.merchant_ref or event.provider_ref)[:200],
            "body": redact(_storable(body.decode("utf-8", "replace"))),
            "headers": {
                k.lower(): redact(_storable(v))
                for k, v in headers.items()
                if k.lower() in _KEPT_HEADERS
            },
            "outcome": Outcome.UNMATCHED,
        },
    )
    if not is_new:
        receipt.deliveries += 1
        if receipt.outcome != Outcome.UNMATCHED:
            receipt.save(update_fields=["deliveries"])
            return Outcome(receipt.outcome)
    _apply(receipt, event)
    receipt.save()
    return Outcome(receipt.outcome)


def _apply(receipt: CallbackReceipt, event: ProviderEvent) -> None:
    payment = _payment_of(receipt.provider, event.merchant_ref, event.provider_ref)
    if payment is None:
        receipt.detail = f"no payment {receipt.merchant_ref} of {receipt.provider} here yet"
        receipt.next_try_at = timezone.now() + _scaled(TRIES[0])
        return
    receipt.payment, receipt.next_try_at, receipt.needs_review = payment, None, False
    if event.snapshot is None:
        _ask(receipt, payment, "it does not tell the payment's whole state; the provider is asked")
        return
    outcome, detail = apply_snapshot(
        payment.pk, event.snapshot, Cause(Source.CALLBACK, receipt.provider)
    )
    receipt.outcome, receipt.detail = outcome, detail[:500]


def _ask(receipt: CallbackReceipt, payment: Payment, why: str) -> None:
    """Bring the next look at the provider forward to now, also for a payment that was closed."""
    receipt.payment, receipt.outcome, receipt.detail = payment, Outcome.ASKING, why
    Payment.objects.filter(pk=payment.pk).update(next_check_at=timezone.now())


def _payment_of(provider: str, merchant_ref: str, provider_ref: str) -> Payment | None:
    """By the provider's reference first: where the two disagree, that payment is the one with the mismatch."""
    ours = Payment.objects.filter(provider=provider)
    by_theirs = ours.filter(provider_ref=provider_ref).first() if provider_ref else None
    return by_theirs or ours.filter(ref=merchant_ref).first()


@transaction.atomic
def retry_unmatched(now: datetime, limit: int = 100) -> list[CallbackReceipt]:
    """Look again for the payments of unmatched receipts that are due; returns those looked at.

    A payment that has turned up meanwhile is asked about at its provider, which knows more than an old callback.
    After the last try the receipt is flagged for a person.
    """
    due = CallbackReceipt.objects.select_for_update(skip_locked=True).filter(next_try_at__lte=now)
    receipts = list(due.order_by("next_try_at")[:limit])
    for receipt in receipts:
        # Whose reference it was is not kept; ours and a provider's never look the same.
        about = receipt.merchant_ref
        payment = _payment_of(receipt.provider, about, about)
        receipt.tries += 1
        if payment is not None:
            _ask(receipt, payment, "its payment turned up; the provider is asked")
            receipt.next_try_at = None
        elif receipt.tries < len(TRIES):
            receipt.next_try_at = now + _scaled(TRIES[receipt.tries])
        else:
            receipt.next_try_at, receipt.needs_review = None, True
        receipt.save()
    return receipts


def _scaled(delay: timedelta) -> timedelta:
    return delay * settings.ORDERCAST_CHECK_TIME_SCALE


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL, and UTF-8 no lone surrogate."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
