"""Clients that do not read, or read late: they lose nothing that they come back for, and cost the others nothing."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from orders.models import Order
from tests.realtime.conftest import NEVER, announce, epoch, grow, padded
from tests.realtime.serving import Page, Server, cursor, page, socket_that_holds_little
from tests.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("either_way")

Start = Callable[..., Server]
EVENTS = 150
PADDING = 60_000  # bytes


async def flood(order: Order, *watching: Page) -> None:
    """More than every buffer on the way holds. Each page named has to keep up, or the load would only pile up."""
    hints = await grow(order, EVENTS)
    for number, hint in enumerate(hints, 2):
        await announce(padded(hint, PADDING))
        for each in watching:
            await each.until(lambda p, n=number: n in p.versions()[-1:])  # type: ignore[misc]


@asynccontextmanager
async def quick_and_slow(server: Server, order: Order) -> AsyncIterator[tuple[Page, Page]]:
    """A page that is in step, and one beside it that reads nothing."""
    at = cursor(await epoch(), 1)
    async with (
        page(server, f"{order.ref}/{at}") as quick,
        page(
            server, f"{order.ref}/{at}", reads=False, max_queue=1, max_size=None,
            sock=socket_that_holds_little(server.port),
        ) as slow,
    ):  # fmt: skip
        await quick.synced()
        yield quick, slow


def health(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/health/ready", trust_env=False).json()["hub"]
    return found


async def test_a_page_that_reads_late_sees_everything_once_and_the_others_wait_for_nothing(
    start_server: Start, order: Order
) -> None:
    server = start_server(check=NEVER)
    async with quick_and_slow(server, order) as (quick, slow):
        await flood(order, quick)
        slow.begin_to_read()
        await slow.until(lambda p: EVENTS + 1 in p.versions(), 10)

    assert slow.versions() == quick.versions() == list(range(2, EVENTS + 2))
    assert any(frame["mode"] == "tail" for frame in slow.of("synced")), "it never lagged"


async def test_a_page_that_reads_nothing_is_told_so_and_closed(
    start_server: Start, order: Order
) -> None:
    server = start_server(check=NEVER, write=0.5, close_grace=60)
    async with quick_and_slow(server, order) as (quick, slow):
        await flood(order, quick)
        await eventually_async(lambda: health_shows_one_connection(server))
        slow.begin_to_read()

        assert await slow.close_code(15) == 4008
        assert slow.of("error")[-1]["code"] == 4008


def health_shows_one_connection(server: Server) -> bool:
    return bool(health(server)["connections"] == 1)


async def test_a_page_that_never_reads_again_is_cut(start_server: Start, order: Order) -> None:
    server = start_server(check=NEVER, write=1.0, close_grace=0.3)
    async with quick_and_slow(server, order) as (quick, dead):
        await flood(order, quick)
        await eventually_async(lambda: health_shows_one_connection(server))
        dead.begin_to_read()
        await dead.until(lambda p: p.closed)
