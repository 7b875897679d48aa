"""The life of an order's money: its states and the moves between them, as one table.

`models.Order` gives each move to django-fsm from this table, so what is legal stands in one place. Fulfilment is
not here, and neither is `needs_review`: that is a flag beside the state, not a state.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    CREATED = "created"
    AWAITING_PAYMENT = "awaiting_payment"
    PROCESSING = "processing"
    AUTHORISED = "authorised"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    CHARGED_BACK = "charged_back"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


UNPAID = frozenset(
    {State.CREATED, State.AWAITING_PAYMENT, State.PROCESSING, State.AUTHORISED, State.FAILED}
)
SETTLED = frozenset({State.PAID, State.PARTIALLY_REFUNDED, State.REFUNDED})
CLOSED_UNPAID = frozenset({State.CANCELLED, State.EXPIRED})


@dataclass(frozen=True)
class Move:
    """One kind of transition: where it may start, and where it may lead."""

    sources: frozenset[State]
    targets: frozenset[State]


MOVES: dict[str, Move] = {
    "start": Move(frozenset({State.CREATED, State.FAILED}), frozenset({State.AWAITING_PAYMENT})),
    "process": Move(
        frozenset({State.CREATED, State.AWAITING_PAYMENT, State.FAILED}),
        frozenset({State.PROCESSING}),
    ),
    "authorise": Move(
        frozenset({State.CREATED, State.AWAITING_PAYMENT, State.PROCESSING, State.FAILED}),
        frozenset({State.AUTHORISED}),
    ),
    "pay": Move(UNPAID, frozenset({State.PAID})),
    "fail": Move(
        frozenset({State.AWAITING_PAYMENT, State.PROCESSING, State.AUTHORISED}),
        frozenset({State.FAILED}),
    ),
    "cancel": Move(UNPAID, frozenset({State.CANCELLED})),
    "expire": Move(
        frozenset({State.CREATED, State.AWAITING_PAYMENT, State.FAILED}),
        frozenset({State.EXPIRED}),
    ),
    "refund_changed": Move(SETTLED, SETTLED),
    "open_dispute": Move(SETTLED, frozenset({State.DISPUTED})),
    "win_dispute": Move(frozenset({State.DISPUTED}), SETTLED),
    "lose_dispute": Move(frozenset({State.DISPUTED}), frozenset({State.CHARGED_BACK})),
    "accept_late_payment": Move(CLOSED_UNPAID, frozenset({State.PAID})),
}


def legal_moves(state: str) -> list[str]:
    """The names of the moves that may start from `state`, in the table's order."""
    return [name for name, move in MOVES.items() if state in move.sources]


def settled_state(captured: int, refunded: int) -> State:
    """Where a paid order stands by its amounts (minor units)."""
    if refunded <= 0:
        return State.PAID
    return State.REFUNDED if refunded >= captured else State.PARTIALLY_REFUNDED
