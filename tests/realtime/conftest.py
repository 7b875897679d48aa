"""Web processes and orders for the tests of the realtime room."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from django.db import connection, connections, transaction
from pytest_django.plugin import DjangoDbBlocker

from orders import journal, queries
from orders.cause import Cause, Source
from orders.events import EventRecord, OrderFlagged
from orders.models import Order, OrderEvent
from realtime import publishing
from realtime.messages import encode_event
from tests.builders import an_order
from tests.realtime.serving import Server

NEVER = 3_600.0  # seconds: a position check that does not come
API = Cause(Source.API, "shop")
P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture
def start_server(
    child_environment: dict[str, str], database: None, valkey: object
) -> Iterator[Callable[..., Server]]:
    """Start web processes; keywords change the hub's times. They are gone after the test."""
    started: list[Server] = []

    def start(environment: dict[str, str] | None = None, **times: float) -> Server:
        server = Server({**child_environment, **(environment or {})}, **times)
        started.append(server)
        return server.wait()

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def order(database: None) -> Order:
    """An order at version 1."""
    return an_order()


@pytest.fixture(scope="module")
def shared_server(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    """One web process for the tests of a module. It makes no position checks: what arrives came by a hint, or by
    reading a hole."""
    with django_db_blocker.unblock():
        name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{quote(name)}")
    server = Server({**os.environ, "DATABASE_URL": urlunsplit(url)}, check=NEVER)
    yield server.wait()
    server.kill()


async def in_thread(job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Database work in an async test."""

    def work() -> T:
        try:
            return job(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(work)


def _grow(ref: str, by: int) -> list[EventRecord]:
    with transaction.atomic():
        order = Order.objects.locked(ref)
        return [
            journal.record(order, OrderFlagged(reason=f"test_{order.version}", detail=""), API)
            for _ in range(by)
        ]


async def grow(order: Order, by: int = 1) -> list[list[object]]:
    """Commit `by` events, without announcing them. Gives what an announcement of each would be."""
    records = await in_thread(_grow, order.ref, by)
    return [[r.order, r.epoch, r.version, encode_event(r)] for r in records]


async def announce(*hints: Sequence[object]) -> None:
    """Send hints to the web processes, as a worker does."""
    assert await asyncio.to_thread(publishing.announce, hints)


async def grow_and_announce(order: Order, by: int = 1) -> None:
    await announce(*await grow(order, by))


async def epoch() -> str:
    return await in_thread(queries.epoch)


async def head(order: Order) -> int:
    def newest() -> int:
        return OrderEvent.objects.filter(order=order).count()

    return await in_thread(newest)
