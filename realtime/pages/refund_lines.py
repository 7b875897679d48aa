"""What came of each refund, read from the order's stream alone, so that the browser can go on by the same rules.

Providers tell how much has gone back in all, not which refund that was: an amount that arrives is given to the refund
that asked for it, or else to the oldest ones that it covers, and what is left over was made at the provider.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orders.domain.events import EventRecord


@dataclass(kw_only=True)
class Refund:
    """`state` is sent, done or failed; `at` is since when. `amount` is in minor units."""

    amount: int
    state: str
    at: datetime


def of(events: Sequence[EventRecord]) -> list[Refund]:
    """The refunds in the order in which they began. The amounts that are done are what is refunded in all."""
    found: list[Refund] = []
    if events and events[0].version > 1 and (before := events[0].facts["refunded"]):
        found.append(Refund(amount=before, state="done", at=events[0].at))  # before this tail
    for event in events:
        data = event.public_data
        if event.type == "refund.requested":
            found.append(Refund(amount=data["amount"], state="sent", at=event.at))
        elif event.type == "refund.failed":
            if not _settle(found, data["amount"], "sent", "failed", event.at):
                _settle(found, data["amount"], "done", "failed", event.at)
        elif event.type == "refund.changed":
            _balance(found, data["refunded"], event.at)
    return found


def _balance(found: list[Refund], refunded: int, at: datetime) -> None:
    new = refunded - sum(refund.amount for refund in found if refund.state == "done")
    if new < 0:
        _settle(found, -new, "done", "failed", at)
    if new <= 0 or _settle(found, new, "sent", "done", at):
        return
    for refund in found:
        if refund.state == "sent" and refund.amount <= new:
            refund.state, refund.at = "done", at
            new -= refund.amount
    if new:
        found.append(Refund(amount=new, state="done", at=at))


def _settle(found: list[Refund], amount: int, was: str, now: str, at: datetime) -> bool:
    """Move the oldest refund of that amount from one state to another; false where there is none."""
    for refund in found:
        if (refund.amount, refund.state) == (amount, was):
            refund.state, refund.at = now, at
            return True
    return False
