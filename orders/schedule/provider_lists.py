"""The provider's own list beside our rows: finds what no timetable looks for any more.

A dispute that opens in the tenth week, a refund made in the provider's console, a payment that somebody made there by
hand: callbacks tell of these, and callbacks get lost. Nothing is applied from a list: where it differs, the payment's
check is brought forward, and the provider is asked about that payment alone.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from re import fullmatch

from orders.domain.outcomes import Outcome
from orders.models import CallbackReceipt, Payment
from orders.payments.base import Snapshot
from orders.payments.money import plain
from orders.schedule import checks


class Finding(StrEnum):
    """What one line of the provider's list is to us."""

    AGREES = "agrees"
    DIFFERS = "differs"  # ask about it now
    UNKNOWN = "unknown"  # ours by its look, or money: flagged for review
    FOREIGN = "foreign"  # another system's, on the same account


@dataclass(frozen=True, kw_only=True)
class RecordedPayment:
    """What our row holds of a payment, as far as a list can contradict it."""

    provider_ref: str
    status: str
    captured: int
    refunded: int
    dispute: str


def judge(ours: RecordedPayment | None, incoming: Snapshot) -> Finding:
    """What to make of one line: a pure function of what our row holds and what is listed."""
    if ours is None:
        # Our references are 32 hex characters; what looks like one and is none of ours went astray.
        is_ours = fullmatch("[0-9a-f]{32}", incoming.merchant_ref) is not None
        return Finding.UNKNOWN if is_ours else Finding.FOREIGN
    listed = RecordedPayment(
        provider_ref=incoming.provider_ref,
        status=incoming.status,
        captured=incoming.captured,
        refunded=incoming.refunded,
        dispute=incoming.dispute or "",
    )
    return Finding.AGREES if ours == listed else Finding.DIFFERS


def take_in(provider: str, page: Sequence[Snapshot], now: datetime) -> Counter[Finding]:
    """Compare one page of the list; bring forward the checks of what differs, and store what is unknown for review."""
    rows = Payment.objects.filter(
        provider=provider, ref__in=[incoming.merchant_ref for incoming in page]
    )
    ours = {row.ref: row for row in rows}
    found: Counter[Finding] = Counter()
    differing = []
    for incoming in page:
        row = ours.get(incoming.merchant_ref)
        finding = judge(_recorded(row) if row else None, incoming)
        found[finding] += 1
        if finding is Finding.DIFFERS and row is not None:
            differing.append(row.pk)
        elif finding is Finding.UNKNOWN:
            _store_for_review(provider, incoming)
    _check_now(differing, now)
    return found


def _recorded(row: Payment) -> RecordedPayment:
    return RecordedPayment(
        provider_ref=row.provider_ref,
        status=row.status,
        captured=row.captured,
        refunded=row.refunded,
        dispute=row.dispute,
    )


def _check_now(payments: Sequence[int], now: datetime) -> None:
    rows = Payment.objects.filter(pk__in=payments)
    checks.bring_forward(rows.exclude(next_check_at__lte=now), now)


def _store_for_review(provider: str, incoming: Snapshot) -> None:
    """As a receipt that matches nothing, once: that is where staff look for what came without an order."""
    CallbackReceipt.objects.get_or_create(
        provider=provider,
        event_id=f"listed:{incoming.provider_ref}"[:200],
        defaults={
            "kind": "payment.listed",
            "merchant_ref": incoming.merchant_ref[:200],
            "body": json.dumps(dict(incoming.raw), default=str),
            "outcome": Outcome.UNMATCHED,
            "detail": f"{provider} lists a payment that is unknown here: "
            f"{plain(incoming.amount, incoming.currency)}, {incoming.status}",
            "needs_review": True,
        },
    )
