"""What an event does to an order: a pure fold, told independently of the state machine.

The journal folds each event as it appends it and refuses to write when the fold and django-fsm lead to different
states. `manage.py verify_orders` folds whole streams from nothing and compares them with the rows.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from orders.domain import events as e
from orders.domain.errors import UnknownEvent
from orders.domain.states import CLOSED_UNPAID, UNPAID, State, settled_state


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of an order at one version. Amounts in minor units; `flags` are sorted reason codes."""

    state: State = State.CREATED
    total: int = 0
    currency: str = ""
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    flags: tuple[str, ...] = ()
    is_cancelling: bool = False
    expires_at: datetime | None = None

    @property
    def needs_review(self) -> bool:
        return bool(self.flags)

    def row(self) -> dict[str, Any]:
        """The values of the order's projected columns."""
        return {**asdict(self), "flags": list(self.flags), "needs_review": self.needs_review}

    def public(self) -> dict[str, Any]:
        """What each event row carries along, so that a reader needs no second table."""
        return {
            "total": self.total,
            "currency": self.currency,
            "captured": self.captured,
            "refunded": self.refunded,
            "disputed": self.disputed,
            "needs_review": self.needs_review,
        }


def fold(facts: Facts, event: e.Event) -> Facts:
    """The facts after the event. Raises `UnknownEvent` for a type that has no rule here."""
    rule = _RULES.get(type(event))
    if rule is None:
        raise UnknownEvent(f"no projection for event type {event.type!r}")
    return rule(facts, event)


def _created(facts: Facts, event: e.OrderCreated) -> Facts:
    deadline = datetime.fromisoformat(event.expires_at) if event.expires_at else None
    return replace(facts, total=event.total, currency=event.currency, expires_at=deadline)


def _started(facts: Facts, _event: e.PaymentStarted) -> Facts:
    begins = facts.state in {State.CREATED, State.FAILED}
    return replace(facts, state=State.AWAITING_PAYMENT) if begins else facts


def _processing(facts: Facts, _event: e.PaymentProcessing) -> Facts:
    advances = facts.state in {State.CREATED, State.AWAITING_PAYMENT, State.FAILED}
    return replace(facts, state=State.PROCESSING) if advances else facts


def _authorised(facts: Facts, _event: e.PaymentAuthorised) -> Facts:
    advances = facts.state in UNPAID - {State.AUTHORISED}
    return replace(facts, state=State.AUTHORISED) if advances else facts


def _captured(facts: Facts, event: e.PaymentCaptured) -> Facts:
    facts = replace(facts, captured=event.captured)
    is_paid = facts.state in UNPAID and event.captured >= facts.total
    return replace(facts, state=State.PAID, is_cancelling=False) if is_paid else facts


def _failed(facts: Facts, event: e.PaymentFailed) -> Facts:
    return replace(facts, state=State.FAILED) if event.fails_order else facts


def _cancellation_requested(facts: Facts, _event: e.CancellationRequested) -> Facts:
    return replace(facts, is_cancelling=True)


def _cancelled(facts: Facts, _event: e.OrderCancelled) -> Facts:
    return replace(facts, state=State.CANCELLED, is_cancelling=False)


def _expired(facts: Facts, _event: e.OrderExpired) -> Facts:
    return replace(facts, state=State.EXPIRED)


def _refund_changed(facts: Facts, event: e.RefundChanged) -> Facts:
    facts = replace(facts, refunded=event.refunded)
    if facts.state in {State.PAID, State.PARTIALLY_REFUNDED, State.REFUNDED}:
        return replace(facts, state=settled_state(facts.captured, event.refunded))
    return facts


def _dispute_opened(facts: Facts, event: e.DisputeOpened) -> Facts:
    return replace(facts, state=State.DISPUTED, disputed=event.disputed)


def _dispute_won(facts: Facts, _event: e.DisputeWon) -> Facts:
    return replace(facts, state=settled_state(facts.captured, facts.refunded), disputed=0)


def _dispute_lost(facts: Facts, event: e.DisputeLost) -> Facts:
    return replace(facts, state=State.CHARGED_BACK, disputed=event.disputed)


def _captured_late(facts: Facts, event: e.LatePaymentReceived) -> Facts:
    return replace(facts, captured=event.captured)


def _late_accepted(facts: Facts, _event: e.LatePaymentAccepted) -> Facts:
    return replace(facts, state=State.PAID) if facts.state in CLOSED_UNPAID else facts


def _flagged(facts: Facts, event: e.OrderFlagged) -> Facts:
    return replace(facts, flags=tuple(sorted({*facts.flags, event.reason})))


def _cleared(facts: Facts, event: e.ReviewCleared) -> Facts:
    return replace(facts, flags=tuple(f for f in facts.flags if f not in event.cleared))


def _noted(facts: Facts, _event: e.Event) -> Facts:
    return facts


_RULES: dict[type[e.Event], Callable[[Facts, Any], Facts]] = {
    e.OrderCreated: _created,
    e.PaymentStarted: _started,
    e.PaymentProcessing: _processing,
    e.PaymentAuthorised: _authorised,
    e.PaymentCaptured: _captured,
    e.PaymentFailed: _failed,
    e.CancellationRequested: _cancellation_requested,
    e.OrderCancelled: _cancelled,
    e.OrderExpired: _expired,
    e.RefundRequested: _noted,
    e.RefundChanged: _refund_changed,
    e.RefundFailed: _noted,
    e.DisputeOpened: _dispute_opened,
    e.DisputeWon: _dispute_won,
    e.DisputeLost: _dispute_lost,
    e.LatePaymentReceived: _captured_late,
    e.LatePaymentAccepted: _late_accepted,
    e.OrderFlagged: _flagged,
    e.ReviewCleared: _cleared,
    e.ConflictFound: _noted,
}
