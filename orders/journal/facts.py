"""The facts that an order's row holds."""

from orders.domain.projection import Facts
from orders.domain.states import State
from orders.models import Order


def facts_of(order: Order) -> Facts:
    return Facts(
        state=State(order.state),
        total=order.total,
        currency=order.currency,
        captured=order.captured,
        refunded=order.refunded,
        disputed=order.disputed,
        flags=tuple(order.flags),
        is_cancelling=order.is_cancelling,
        expires_at=order.expires_at,
    )
