"""Dismissing a callback that was flagged for review."""

from django.db import transaction

from orders.domain.cause import Cause
from orders.domain.errors import InvalidRequest
from orders.models import CallbackReceipt


@transaction.atomic
def dismiss_receipt(receipt_id: int, cause: Cause) -> None:
    """Take it off the list of those that need review; what came, and what became of it, stays as it is.

    Raises `InvalidRequest` for one that needs none: it is done, or still tried.
    """
    receipt = CallbackReceipt.objects.select_for_update().get(pk=receipt_id)
    if not receipt.needs_review:
        why = "it is still retried" if receipt.next_try_at else "it does not need review"
        raise InvalidRequest(f"Callback {receipt.event_id} cannot be dismissed: {why}.")
    said = f"dismissed by {cause.actor}: {cause.reason}"
    receipt.detail = f"{receipt.detail[: 500 - len(said) - 2]}; {said}" if receipt.detail else said
    receipt.needs_review = False
    receipt.save(update_fields=["detail", "needs_review"])
