"""A stored callback, processed again: for a defect that is mended, or a payment that has turned up.

Safe because `apply_snapshot` is: a callback may always be late or doubled. What was signed
was verified when it came; only the body was kept, with secrets taken out. Limit: where a provider cannot read that, or
it tells no whole state, the provider is asked instead.
"""

from django.db import transaction

from orders import clock
from orders.commands.snapshots import apply_snapshot
from orders.domain.cause import Cause
from orders.domain.outcomes import Outcome
from orders.models import CallbackReceipt, Payment
from orders.payments import base, registry
from orders.payments.base import ProviderEvent


@transaction.atomic
def replay_receipt(receipt_id: int, cause: Cause) -> tuple[Outcome, str]:
    """What became of it this time. The receipt keeps what it did first, unless it matched nothing then."""
    receipt = CallbackReceipt.objects.select_for_update().get(pk=receipt_id)
    event = reread(receipt)
    payment = receipt.payment or _payment_of(receipt, event)
    if payment is None:
        return Outcome.UNMATCHED, f"no payment {receipt.merchant_ref} of {receipt.provider} here"
    if event is None or event.snapshot is None:
        Payment.objects.filter(pk=payment.pk).update(next_check_at=clock.now())
        outcome, detail = Outcome.ASKING, "it does not tell the payment's whole state"
    else:
        outcome, detail = apply_snapshot(payment.pk, event.snapshot, cause)
    if receipt.payment is None:
        receipt.payment, receipt.outcome, receipt.detail = payment, outcome, detail[:500]
        receipt.next_try_at, receipt.needs_review = None, False
        receipt.save(update_fields=["payment", "outcome", "detail", "next_try_at", "needs_review"])
    return outcome, detail


def reread(receipt: CallbackReceipt) -> ProviderEvent | None:
    """What the stored body says; None where it can no longer be read."""
    provider = registry.get(receipt.provider)
    if not isinstance(provider, base.Rereads):
        return None
    try:
        return provider.reread(receipt.body.encode(), receipt.event_id)
    except base.Malformed:
        return None


def _payment_of(receipt: CallbackReceipt, event: ProviderEvent | None) -> Payment | None:
    """By the provider's reference first, as when it came."""
    ours = Payment.objects.filter(provider=receipt.provider)
    # What is not read any more left only this: ours and a provider's never look the same.
    theirs = event.provider_ref if event else receipt.merchant_ref
    named = event.merchant_ref if event else receipt.merchant_ref
    by_theirs = ours.filter(provider_ref=theirs).first() if theirs else None
    return by_theirs or ours.filter(ref=named).first()
