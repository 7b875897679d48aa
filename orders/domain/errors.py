"""What can go wrong with an order. Each error has a stable `code`, and says what would be right."""

from datetime import datetime
from typing import ClassVar


class OrderError(Exception):
    """The order cannot do what was asked of it."""

    code: ClassVar[str] = "order_error"
    status: ClassVar[int] = 409


class OrderNotFound(OrderError):
    """No such order, or it is not yours."""

    code = "order_not_found"
    status = 404

    def __init__(self, ref: str) -> None:
        super().__init__(f"There is no order {ref!r} that you may see.")


class IllegalMove(OrderError):
    """The order's state does not allow the move. Names the order, its state, the move and what would be legal."""

    code = "illegal_move"

    def __init__(self, ref: str, state: str, move: str, legal: list[str]) -> None:
        allowed = ", ".join(legal) or "nothing"
        super().__init__(
            f"Order {ref} is {state}: {move!r} is not possible from there; legal now: {allowed}."
        )
        self.ref, self.state, self.move, self.legal = ref, state, move, legal


class NotInTransaction(OrderError):
    """A change was tried outside a transaction, where a journal cannot promise anything."""

    code = "not_in_transaction"
    status = 500


class NotLocked(OrderError):
    """A change was tried on an order that was not loaded with `Order.objects.locked(ref)`."""

    code = "not_locked"
    status = 500


class ProjectionDisagrees(OrderError):
    """The event's fold and the state machine lead to different states: a defect, so nothing is written."""

    code = "projection_disagrees"
    status = 500


class UnknownEvent(OrderError):
    """An event type, or a schema version of one, that this code does not know."""

    code = "unknown_event"
    status = 500


class InvalidRequest(OrderError):
    """What was asked makes no sense as it stands; the message says what would."""

    code = "invalid_request"
    status = 422


class IdempotencyConflict(OrderError):
    """The idempotency key was used before with another body."""

    code = "idempotency_key_reused"
    status = 422

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The Idempotency-Key {key!r} was used before with another body; "
            "send the same body again, or a new key."
        )


class DeadlinePassed(OrderError):
    """The time to pay the order is over, whether or not it has expired already."""

    code = "deadline_passed"

    def __init__(self, ref: str, expires_at: datetime) -> None:
        super().__init__(
            f"Order {ref} was to be paid by {expires_at.isoformat(timespec='seconds')}: make a new order."
        )


class NothingToRefund(OrderError):
    """The refund asks for more than is left of what was captured."""

    code = "refund_exceeds_captured"
    status = 422


class NotOffered(OrderError):
    """The provider has no way to do what was asked; the message says which way there is."""

    code = "not_offered"
    status = 422


class CannotCancel(OrderError):
    """Money has moved, or the provider refused: cancel is no longer possible; refund instead."""

    code = "cannot_cancel"


class ProviderRefused(OrderError):
    """The provider refused the request; asking again unchanged is no use."""

    code = "provider_refused"
