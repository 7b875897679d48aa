"""Fixtures of the tests that all transports share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from django.conf import settings

from orders.models import Order
from tests.realtime.protocol.described import problems
from tests.realtime.serving import Frame
from tests.realtime.viewers import View, watching

Watch = Callable[..., AbstractAsyncContextManager[View]]
TRANSPORTS = ("websocket", "sse", "polling")


@pytest.fixture(params=[*TRANSPORTS, "websocket by ASGI"])
def transport(request: pytest.FixtureRequest, accept_by_asgi: Callable[[], None]) -> str:
    name, _, way = str(request.param).partition(" ")
    if way:
        accept_by_asgi()
    return name


@pytest.fixture
def watch(transport: str, order: Order) -> Iterator[Watch]:
    """Watch the order as the service, unless told otherwise. Whatever a page hears is held against the description."""
    recorded: list[Frame] = []
    yield partial(
        watching,
        transport,
        order=order.ref,
        token=settings.ORDERCAST_SERVICE_TOKEN,
        recorded=recorded,
    )
    if transport != "polling":
        assert [wrong for frame in recorded for wrong in problems("send", frame)] == []
