"""A real provider process for the reconciler to ask."""

from collections.abc import Iterator
from typing import cast

import pytest
import redis
from pytest_django import Settings

from orders import commands, conversations
from orders.cause import Cause, Source
from orders.models import Order, Payment
from orders.payments import registry
from orders.payments.house import House
from tests.sandbox import SandboxProcess, start_sandbox

API = Cause(Source.API, "shop")


@pytest.fixture(scope="module")
def provider_process() -> Iterator[SandboxProcess]:
    running = start_sandbox()
    yield running
    running.close()


@pytest.fixture
def provider(
    provider_process: SandboxProcess, settings: Settings, database: None, valkey: "redis.Redis"
) -> Iterator[SandboxProcess]:
    """The sandbox as the house provider; nobody listens for its callbacks, so all of them are lost."""
    settings.ORDERCAST_PROVIDERS = {
        "house": {
            "url": provider_process.url,
            "key": provider_process.key,
            "webhook_secrets": [provider_process.secret],
            "timeout": 2.0,
        }
    }
    settings.ORDERCAST_PUBLIC_URL = "http://127.0.0.1:9"
    registry.cache_clear()
    provider_process.set_faults()
    yield provider_process
    cast("House", registry.get("house")).close()
    registry.cache_clear()


def begun(total: int = 1_000) -> tuple[Order, Payment]:
    """An order with a payment that waits at the provider."""
    order, _ = commands.create_order(total=total, currency="EUR", cause=API)
    payment = conversations.start_payment(order.ref, mode="callback", cause=API)
    return order, payment


def make_due(payment: Payment) -> None:
    """As if its time had come."""
    Payment.objects.filter(pk=payment.pk).update(next_check_at="2020-01-01T00:00:00Z")
