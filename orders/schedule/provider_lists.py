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
    UNKNOWN = "unknown"  # ours by its look, or money: a person has to see it
    FOREIGN = "foreign"  # another system's, on the same account


@dataclass(frozen=True, kw_only=True)
class RecordedPayment:
    """What we keep of a payment that a list can contradict."""

    provider_ref: str
    status: str
    captured: int
    refunded: int
    dispute: str


def judge(kept: RecordedPayment | None, told: Snapshot) -> Finding:
    """What to make of one line: a pure function of what we keep and what is listed."""
    if kept is None:
        # Our references are 32 hex characters; what looks like one and is none of ours went astray.
        is_ours = fullmatch("[0-9a-f]{32}", told.merchant_ref) is not None
        return Finding.UNKNOWN if is_ours else Finding.FOREIGN
    listed = RecordedPayment(
        provider_ref=told.provider_ref,
        status=told.status,
        captured=told.captured,
        refunded=told.refunded,
        dispute=told.dispute or "",
    )
    return Finding.AGREES if kept == listed else Finding.DIFFERS


def take_in(provider: str, page: Sequence[Snapshot], now: datetime) -> Counter[Finding]:
    """Compare one page of the list; bring forward the checks of what differs, and keep what is unknown for a person."""
    rows = Payment.objects.filter(provider=provider, ref__in=[told.merchant_ref for told in page])
    held = {row.ref: row for row in rows}
    found: Counter[Finding] = Counter()
    differing = []
    for told in page:
        row = held.get(told.merchant_ref)
        finding = judge(_kept(row) if row else None, told)
        found[finding] += 1
        if finding is Finding.DIFFERS and row is not None:
            differing.append(row.pk)
        elif finding is Finding.UNKNOWN:
            _keep_for_a_person(provider, told)
    _hurry(differing, now)
    return found


def _kept(row: Payment) -> RecordedPayment:
    return RecordedPayment(
        provider_ref=row.provider_ref,
        status=row.status,
        captured=row.captured,
        refunded=row.refunded,
        dispute=row.dispute,
    )


def _hurry(payments: Sequence[int], now: datetime) -> None:
    rows = Payment.objects.filter(pk__in=payments)
    checks.bring_forward(rows.exclude(next_check_at__lte=now), now)


def _keep_for_a_person(provider: str, told: Snapshot) -> None:
    """As a receipt that matches nothing, once: that is where staff look for what came without an order."""
    CallbackReceipt.objects.get_or_create(
        provider=provider,
        event_id=f"listed:{told.provider_ref}"[:200],
        defaults={
            "kind": "payment.listed",
            "merchant_ref": told.merchant_ref[:200],
            "body": json.dumps(dict(told.raw), default=str),
            "outcome": Outcome.UNMATCHED,
            "detail": f"{provider} lists a payment that is unknown here: "
            f"{plain(told.amount, told.currency)}, {told.status}",
            "needs_review": True,
        },
    )
