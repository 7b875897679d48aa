"""A real provider process for the reconciler to ask, within a budget that is kept in a real Valkey."""

import pytest
import redis

from orders.commands import lifecycle, provider_calls
from orders.domain.cause import Cause, Source
from orders.models import Order, Payment
from tests.providing import provider, provider_process

__all__ = ["provider", "provider_process"]

API = Cause(Source.API, "shop")


@pytest.fixture(autouse=True)
def _budget(valkey: redis.Redis) -> None:
    """What one test has taken of the budget is no other's."""


def begun(total: int = 1_000) -> tuple[Order, Payment]:
    """An order with a payment that waits at the provider."""
    order, _ = lifecycle.create_order(total=total, currency="EUR", cause=API)
    payment = provider_calls.start_payment(order.ref, mode="callback", cause=API)
    return order, payment


def make_due(payment: Payment) -> None:
    """As if its time had come."""
    Payment.objects.filter(pk=payment.pk).update(next_check_at="2020-01-01T00:00:00Z")
