"""How far a payment or a refund has come: our own words beside the providers', and what they have in common."""

from enum import StrEnum

from orders.payments.base import PaymentStatus, RefundStatus


class OwnStatus(StrEnum):
    """What no provider says."""

    INTENDED = "intended"  # written down; the provider has not answered yet
    REFUSED = "refused"  # of a refund: the provider said no


# How far a payment has come. An end is behind all of these, and money taken behind every end.
_LADDER = (
    OwnStatus.INTENDED,
    PaymentStatus.PENDING,
    PaymentStatus.PROCESSING,
    PaymentStatus.AUTHORISED,
)
LIVE = frozenset[str](_LADDER)
DEAD = frozenset[str]({PaymentStatus.FAILED, PaymentStatus.CANCELLED, PaymentStatus.EXPIRED})
RANK: dict[str, int] = {
    **{status: rank for rank, status in enumerate(_LADDER)},
    **dict.fromkeys(DEAD, len(_LADDER)),
    PaymentStatus.CAPTURED: len(_LADDER) + 1,
}
OPEN_REFUND = (OwnStatus.INTENDED, RefundStatus.PENDING)
