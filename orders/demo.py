"""A few orders to look at, for the demo."""

from orders.commands import lifecycle
from orders.domain.cause import Cause, Source
from orders.models import Order

_DEMO = Cause(Source.SYSTEM, "demo")
_ORDERS = (
    ("demo-coffee", 1_250, "EUR", "Two bags of coffee"),
    ("demo-bicycle", 89_900, "USD", "A bicycle"),
    ("demo-tea", 4_800, "JPY", "A tin of tea"),
)


def seed() -> list[Order]:
    """The demo's orders, made once; again and again the same ones."""
    return [
        lifecycle.create_order(
            total=total,
            currency=currency,
            metadata={"title": title},
            expires_in=30 * 86_400,
            idempotency_key=key,
            cause=_DEMO,
        )[0]
        for key, total, currency, title in _ORDERS
    ]
