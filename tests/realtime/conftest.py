"""Web processes and orders for the tests of the realtime room."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
from django.conf import settings as django_settings
from django.db import connections, transaction
from pytest_django import Settings

from backend.up import child, embedded
from orders.domain.cause import Cause, Source
from orders.domain.events import EventRecord, OrderFlagged
from orders.journal import queries, writer
from orders.models import Order, OrderEvent
from realtime.protocol.messages import encode_event
from realtime.pubsub import publisher
from realtime.pubsub.names import Hint
from tests.builders import an_order
from tests.ports import free_port
from tests.realtime.serving import Server, ServerProcess

NEVER = 3_600.0  # seconds: a position check that does not come
API = Cause(Source.API, "shop")
P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture
def start_server(
    database: None, valkey: object, settings: Settings
) -> Iterator[Callable[..., Server]]:
    """Start a web process's server, at this address of Valkey if one is given; keywords change the hub's times."""
    publisher.announce([])  # so that it keeps to the run's own Valkey
    started: list[Server] = []

    def start(valkey_url: str | None = None, **times: float) -> Server:
        # The server is in the test's own process: what the test writes must come to it as from another.
        settings.ORDERCAST_REALTIME = {"direct": False, **times}
        if valkey_url is not None:
            settings.CHANNEL_LAYERS = layers_at(valkey_url)
        started.append(Server())
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def accept_by_asgi(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[[], None]:
    """To be called before a socket is opened, or a process started."""

    def choose() -> None:
        settings.ORDERCAST_FAST_ACCEPT = False
        monkeypatch.setenv("ORDERCAST_FAST_ACCEPT", "off")

    return choose


@pytest.fixture(params=["fast", "by ASGI"])
def either_way(request: pytest.FixtureRequest, accept_by_asgi: Callable[[], None]) -> str:
    """Sockets are accepted the fast way, and by plain ASGI as under any server."""
    if request.param == "by ASGI":
        accept_by_asgi()
    return str(request.param)


@pytest.fixture
def start_process(
    child_environment: dict[str, str], database: None, valkey: object
) -> Iterator[Callable[..., ServerProcess]]:
    """Start web processes; keywords are as `ServerProcess` has them. They are gone after the test."""
    started: list[ServerProcess] = []

    def start(**changes: float | str) -> ServerProcess:
        started.append(ServerProcess(child_environment, **changes))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def own_port() -> int:
    return free_port()


@pytest.fixture
def own_valkey(tmp_path: Path, own_port: int) -> Iterator[child.Server]:
    """A Valkey that a test may mistreat."""
    server = embedded.start_valkey(tmp_path, port=own_port)
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.stop()


def layers_at(url: str) -> dict[str, Any]:
    """The channel layer of the settings, at another address."""
    default: dict[str, Any] = dict(django_settings.CHANNEL_LAYERS["default"])
    host = {**default["CONFIG"]["hosts"][0], "address": url}
    return {"default": {**default, "CONFIG": {**default["CONFIG"], "hosts": [host]}}}


@pytest.fixture
def order(database: None) -> Order:
    """An order at version 1."""
    return an_order()


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
            writer.record(order, OrderFlagged(reason=f"test_{order.version}", detail=""), API)
            for _ in range(by)
        ]


def many_orders(count: int) -> list[str]:
    """Orders at version 0, without a history: for what is about their number only."""
    made = Order.objects.bulk_create([Order(total=1, currency="EUR") for _ in range(count)])
    return [each.ref for each in made]


async def grow(order: Order, by: int = 1) -> list[Hint]:
    """Commit `by` events, without announcing them. Gives what an announcement of each would be."""
    records = await in_thread(_grow, order.ref, by)
    return [Hint(r.order, r.epoch, r.version, encode_event(r)).signed() for r in records]


def padded(hint: Hint, size: int) -> Hint:
    """The same with a frame that is larger by `size` bytes."""
    frame = {**json.loads(hint.frame), "padding": "x" * size}
    return hint._replace(frame=json.dumps(frame)).signed()


async def announce(*hints: Hint) -> None:
    """Send hints to the web processes, as a worker does."""
    assert await asyncio.to_thread(publisher.announce, hints)


async def grow_and_announce(order: Order, by: int = 1) -> None:
    await announce(*await grow(order, by))


async def epoch() -> str:
    return await in_thread(queries.epoch)


async def head(order: Order) -> int:
    def newest() -> int:
        return OrderEvent.objects.filter(order=order).count()

    return await in_thread(newest)
