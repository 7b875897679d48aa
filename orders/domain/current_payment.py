"""What our rows hold of a payment, beside which a provider's answer is decided."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orders.domain.states import State
from orders.payments.base import Snapshot


@dataclass(frozen=True, kw_only=True)
class CurrentPayment:
    """The payment as our rows have it, and the order around it. Order amounts are totals over all its payments."""

    payment: str
    provider: str
    provider_ref: str  # "" until the provider has named it
    amount: int
    currency: str
    status: str  # PaymentStatus, or OwnStatus
    captured: int
    refunded: int
    refunds: Mapping[str, str]  # our refunds of this payment: ref → RefundStatus or OwnStatus
    dispute: str  # DisputeStatus, or ""
    order_state: State
    order_total: int
    order_captured: int
    order_refunded: int
    has_other_live: bool  # another attempt of the order is still open
    is_cancelling: bool
    order_flags: Collection[str] = ()

    def captured_with(self, incoming: Snapshot) -> int:
        """What the whole order has captured, with what is said now."""
        return self.order_captured + max(0, incoming.captured - self.captured)
