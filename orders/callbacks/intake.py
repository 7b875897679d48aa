"""What providers call back with: stored as it came, and applied, in one transaction.

A duplicate is answered with success because its first copy was committed together with what it did. One that
matches no payment is kept and tried again for minutes, since a callback can overtake our own create call.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from orders import clock
from orders.callbacks.replay import reread
from orders.commands.snapshots import apply_snapshot
from orders.domain.cause import Cause, Source
from orders.domain.outcomes import Outcome
from orders.journal import statements
from orders.models import CallbackReceipt, Payment
from orders.payments.base import ProviderEvent
from orders.schedule import checks
from orders.schedule.profiles import MINUTE, SECOND
from orders.security.redaction import redact

TRIES = (5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE)
_KEPT_HEADERS = ("content-type", "user-agent", "webhook-id", "webhook-timestamp")


@transaction.atomic(savepoint=False)
def accept(
    provider: str, event: ProviderEvent, *, body: bytes, headers: Mapping[str, str]
) -> Outcome:
    """Store one item of a callback and let it move its order. Committed when the outermost transaction is."""
    about = _storable(event.merchant_ref or event.provider_ref)[:200]
    receipt = {
        "provider": provider,
        "event_id": event.event_id[:200],
        "kind": event.kind[:64],
        "merchant_ref": about,
        "body": redact(_storable(body.decode("utf-8", "replace"))),
        "headers": {
            name: redact(_storable(headers[name])) for name in _KEPT_HEADERS if name in headers
        },
        "outcome": Outcome.UNMATCHED.value,
        "detail": f"no payment {about} of {provider} here yet",
    }
    stored = statements.store_receipt(
        receipt, by_our_ref=event.merchant_ref, by_provider_ref=event.provider_ref
    )
    if stored.outcome not in {Outcome.UNMATCHED, Outcome.FOREIGN}:
        return Outcome(stored.outcome)
    if stored.locked is None:
        soon = clock.now() + _scaled(TRIES[0])
        CallbackReceipt.objects.filter(pk=stored.receipt).update(next_try_at=soon)
        return Outcome.UNMATCHED
    if event.snapshot is None:
        return _ask_instead(stored.receipt, stored.locked.payment)
    cause = Cause(Source.CALLBACK, provider)
    return apply_snapshot(stored.locked, event.snapshot, cause, receipt=stored.receipt).outcome


def _ask_instead(receipt: int, payment: Payment) -> Outcome:
    """Bring the payment's check forward to now, also for a payment that was closed."""
    payment.next_check_at = clock.now()
    why = "it does not carry the payment's whole state; the provider is asked"
    statements.conclude(receipt, Outcome.ASKING, why, payment, ("next_check_at",))
    return Outcome.ASKING


@transaction.atomic
def retry_unmatched(now: datetime, limit: int = 100) -> list[CallbackReceipt]:
    """Look again for the payments of unmatched receipts that are due; returns those looked at.

    A payment that has turned up meanwhile is asked about at its provider, which knows more than an old callback.
    After the last try the receipt is flagged for review, unless it may as well be about another program's payment.
    """
    due = CallbackReceipt.objects.select_for_update(skip_locked=True).filter(next_try_at__lte=now)
    receipts = list(due.order_by("next_try_at")[:limit])
    for receipt in receipts:
        # Whose reference it was is not kept; ours and a provider's never look the same.
        about = receipt.merchant_ref
        payment = _payment_called(about, receipt.provider)
        if payment is not None and not checks.bring_forward(_alone(payment), clock.now()):
            continue  # somebody has it locked: the next tick finds it again
        receipt.tries += 1
        if payment is not None:
            receipt.payment, receipt.outcome = payment, Outcome.ASKING
            receipt.detail = "its payment turned up; the provider is asked"
            receipt.next_try_at = None
        elif receipt.tries < len(TRIES):
            receipt.next_try_at = now + _scaled(TRIES[receipt.tries])
        elif _may_be_foreign(receipt):
            receipt.next_try_at, receipt.outcome = None, Outcome.FOREIGN
            receipt.detail = (
                "no payment here has this reference: another program's in the same account"
            )
        else:
            receipt.next_try_at, receipt.needs_review = None, True
        receipt.save()
    return receipts


def _may_be_foreign(receipt: CallbackReceipt) -> bool:
    event = reread(receipt)
    return event is not None and event.may_be_foreign


def _alone(payment: Payment) -> "QuerySet[Payment]":
    return Payment.objects.filter(pk=payment.pk)


def _payment_called(name: str, provider: str) -> Payment | None:
    is_its_name = Q(provider_ref=name) | Q(ref=name)
    return Payment.objects.filter(is_its_name, provider=provider).first()


def _scaled(delay: timedelta) -> timedelta:
    return delay * settings.ORDERCAST_CHECK_TIME_SCALE


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL, and UTF-8 no lone surrogate."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
