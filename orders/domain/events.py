"""The events of an order: frozen values in the past tense, each registered under an explicit stored name.

An event holds absolute values after the fact (the order's `captured` is the total so far), so that seeing one twice is
harmless. Amounts are integers in minor units. How they are stored stands in `event_registry`.
"""

from dataclasses import dataclass

from orders.domain.event_registry import (
    Event,
    EventRecord,
    decode,
    encode,
    register,
    registered,
    upcast,
    upcaster,
)

__all__ = ["Event", "EventRecord", "decode", "encode", "registered", "upcast", "upcaster"]


@register
@dataclass(frozen=True, kw_only=True)
class OrderCreated(Event):
    type = "order.created"
    public = ("total", "currency")

    total: int
    currency: str
    expires_at: str | None = None  # ISO 8601


@register
@dataclass(frozen=True, kw_only=True)
class PaymentStarted(Event):
    """A payment exists at the provider. A second attempt may start while the first still runs."""

    type = "payment.started"
    public = ("payment", "amount")

    payment: str
    provider: str
    amount: int


@register
@dataclass(frozen=True, kw_only=True)
class PaymentProcessing(Event):
    type = "payment.processing"
    public = ("payment",)

    payment: str


@register
@dataclass(frozen=True, kw_only=True)
class PaymentAuthorised(Event):
    type = "payment.authorised"
    public = ("payment", "amount")

    payment: str
    amount: int


@register
@dataclass(frozen=True, kw_only=True)
class PaymentCaptured(Event):
    """Money was taken. `captured` is the order's total over all its payments."""

    type = "payment.captured"
    public = ("payment", "amount")

    payment: str
    amount: int
    captured: int


@register
@dataclass(frozen=True, kw_only=True)
class PaymentFailed(Event):
    """An attempt failed, was called off or ran out. The order fails with it unless another attempt is open."""

    type = "payment.failed"
    public = ("payment", "code")

    payment: str
    code: str = ""
    message: str = ""
    fails_order: bool = True


@register
@dataclass(frozen=True, kw_only=True)
class CancellationRequested(Event):
    """Someone wants the order cancelled; the provider has yet to confirm."""

    type = "order.cancellation_requested"

    reason: str = ""


@register
@dataclass(frozen=True, kw_only=True)
class OrderCancelled(Event):
    type = "order.cancelled"

    reason: str = ""


@register
@dataclass(frozen=True, kw_only=True)
class OrderExpired(Event):
    type = "order.expired"

    expired_at: str  # ISO 8601, the deadline


@register
@dataclass(frozen=True, kw_only=True)
class RefundRequested(Event):
    type = "refund.requested"
    public = ("payment", "amount")

    payment: str
    refund: str
    amount: int
    reason: str = ""


@register
@dataclass(frozen=True, kw_only=True)
class RefundChanged(Event):
    """What has gone back has changed. `refunded` is the order's total; it falls when a refund fails."""

    type = "refund.changed"
    public = ("payment",)

    payment: str
    refunded: int


@register
@dataclass(frozen=True, kw_only=True)
class RefundFailed(Event):
    """A refund did not go through; the money is still here."""

    type = "refund.failed"
    public = ("payment", "amount")

    payment: str
    refund: str
    amount: int


@register
@dataclass(frozen=True, kw_only=True)
class DisputeOpened(Event):
    type = "dispute.opened"

    payment: str
    disputed: int


@register
@dataclass(frozen=True, kw_only=True)
class DisputeWon(Event):
    type = "dispute.won"

    payment: str


@register
@dataclass(frozen=True, kw_only=True)
class DisputeLost(Event):
    type = "dispute.lost"

    payment: str
    disputed: int


@register
@dataclass(frozen=True, kw_only=True)
class LatePaymentReceived(Event):
    """Money came for an order that was already cancelled or expired; a person decides."""

    type = "payment.captured_late"
    public = ("payment", "amount")

    payment: str
    amount: int
    captured: int


@register
@dataclass(frozen=True, kw_only=True)
class LatePaymentAccepted(Event):
    type = "order.late_payment_accepted"

    reason: str


@register
@dataclass(frozen=True, kw_only=True)
class OrderFlagged(Event):
    """A person has to look. `reason` is a stable code, `detail` a sentence."""

    type = "order.flagged"

    reason: str
    detail: str


@register
@dataclass(frozen=True, kw_only=True)
class ReviewCleared(Event):
    """A person has looked. `cleared` are the reason codes that no longer stand."""

    type = "order.review_cleared"

    cleared: list[str]
    reason: str


@register
@dataclass(frozen=True, kw_only=True)
class ConflictFound(Event):
    """The provider says what the state machine does not allow; nothing was applied."""

    type = "order.conflict"

    payment: str
    ours: str
    theirs: str
