"""What has to hold, written a second time from the design's table and rules, without a look at the code.

Nothing here imports `orders.domain.states`, `orders.domain.decisions` or `orders.domain.projection`: a defect there
must not be able to excuse itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.prove.provider import Account

UNPAID = {"created", "awaiting_payment", "processing", "authorised", "failed"}
SETTLED = {"paid", "partially_refunded", "refunded"}
CLOSED = {"cancelled", "expired"}
ALL = UNPAID | SETTLED | CLOSED | {"disputed", "charged_back"}

# event type → the moves that it may make: (from, to). An event may always leave the state as it is, save those below.
MOVES: dict[str, set[tuple[str, str]]] = {
    "order.created": set(),
    "payment.started": {("created", "awaiting_payment"), ("failed", "awaiting_payment")},
    "payment.processing": {
        ("created", "processing"),
        ("awaiting_payment", "processing"),
        ("failed", "processing"),
    },
    "payment.authorised": {
        ("created", "authorised"),
        ("awaiting_payment", "authorised"),
        ("processing", "authorised"),
        ("failed", "authorised"),
    },
    "payment.captured": {(state, "paid") for state in UNPAID},
    "payment.failed": {
        ("awaiting_payment", "failed"),
        ("processing", "failed"),
        ("authorised", "failed"),
    },
    "order.cancellation_requested": set(),
    "order.cancelled": {(state, "cancelled") for state in UNPAID},
    "order.expired": {
        ("created", "expired"),
        ("awaiting_payment", "expired"),
        ("failed", "expired"),
    },
    "refund.requested": set(),
    "refund.changed": {(a, b) for a in SETTLED for b in SETTLED},
    "refund.failed": set(),
    "dispute.opened": {(state, "disputed") for state in SETTLED},
    "dispute.won": {("disputed", state) for state in SETTLED},
    "dispute.lost": {("disputed", "charged_back")},
    "payment.captured_late": set(),
    "order.late_payment_accepted": {("cancelled", "paid"), ("expired", "paid")},
    "order.flagged": set(),
    "order.review_cleared": set(),
    "order.conflict": set(),
}
MUST_MOVE = {
    "order.cancelled", "order.expired", "dispute.opened", "dispute.won", "dispute.lost", "order.late_payment_accepted",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One event as its row tells it."""

    version: int
    type: str
    state: str
    source: str
    captured: int
    refunded: int
    reason: str = ""  # of a flag


@dataclass(kw_only=True)
class Ours:
    """An order as our rows tell it."""

    state: str
    total: int
    captured: int
    refunded: int
    flags: set[str] = field(default_factory=set)  # that stand
    called: set[str] = field(default_factory=set)  # what a person was ever called for


def wrong_in_history(events: Sequence[Seen]) -> list[str]:
    """What the stream of one order may not hold."""
    wrong = []
    before: Seen | None = None
    for number, event in enumerate(events, start=1):
        if event.version != number:
            wrong.append(f"version {event.version} where {number} was due")
        if before is None:
            if (event.type, event.state) != ("order.created", "created"):
                wrong.append(f"it begins with {event.type}, {event.state}")
        else:
            wrong += _wrong_step(before, event)
        before = event
    return wrong


def _wrong_step(before: Seen, event: Seen) -> list[str]:
    wrong = []
    step = (before.state, event.state)
    is_still = before.state == event.state
    if not (is_still and event.type not in MUST_MOVE) and step not in MOVES[event.type]:
        wrong.append(f"{event.version}: {event.type} moved {before.state} to {event.state}")
    if event.captured < before.captured:
        wrong.append(f"{event.version}: captured fell from {before.captured} to {event.captured}")
    if before.state in SETTLED and event.state in UNPAID | CLOSED:
        wrong.append(f"{event.version}: settled became {event.state}")
    if event.refunded < before.refunded and event.type != "refund.changed":
        wrong.append(f"{event.version}: {event.type} lowered what was refunded")
    return wrong


def wrong_at_the_end(ours: Ours, accounts: Sequence[Account]) -> list[str]:
    """Where the order is not what the provider says, and no person was called for that."""
    if "conflict" in ours.flags or "checks_exhausted" in ours.called:
        return []
    wrong = []
    captured = sum(a.captured for a in accounts)
    refunded = sum(a.refunded for a in accounts)
    if (ours.captured, ours.refunded) != (captured, refunded):
        wrong.append(
            f"captured {ours.captured} and refunded {ours.refunded}; the provider says {captured} and {refunded}"
        )
    allowed = _states(ours, accounts, captured, refunded)
    if ours.state not in allowed:
        wrong.append(f"{ours.state}, where {sorted(allowed)} would be true")
    if captured - refunded > ours.total and "overpaid" not in ours.called:
        wrong.append(f"{captured} of {ours.total} taken, and nobody was told")
    if ours.state in CLOSED and captured and "late_payment" not in ours.called:
        wrong.append(f"{ours.state} with {captured} captured, and nobody was told")
    if ours.state in CLOSED and any(a.status in {"pending", "authorised"} for a in accounts):
        wrong.append(f"{ours.state}, and a customer can still pay")
    return wrong


def _states(  # noqa: PLR0911 — one line for each truth
    ours: Ours, accounts: Sequence[Account], captured: int, refunded: int
) -> set[str]:
    if ours.state in CLOSED:
        return CLOSED  # what a closed order may hold is looked at apart
    if any(a.dispute == "lost" for a in accounts):
        return {"charged_back"}
    if any(a.dispute == "open" for a in accounts):
        return {"disputed"}
    if captured >= ours.total:
        if not refunded:
            return {"paid"}
        return {"refunded" if refunded >= captured else "partially_refunded"}
    live = {a.status for a in accounts if a.status in {"pending", "processing", "authorised"}}
    if captured and not live:
        return UNPAID if "underpaid" in ours.called else set()
    if not live:
        return {"created", "failed"} if not accounts else {"failed"}
    # Of two open attempts, one may since have fallen back behind what the order has seen of the other.
    return {"awaiting_payment", "processing", "authorised"}
