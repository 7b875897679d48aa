"""One guarantee, three transports: the same tests for WebSocket, server-sent events and polling.

What only one of them has (close codes, many orders on a socket, comments of a stream) stands in files of its own.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings

from orders import access
from orders.models import Order
from realtime.hub import local
from tests.realtime.conftest import (
    NEVER,
    announce,
    epoch,
    grow,
    grow_and_announce,
)
from tests.realtime.endpoints.conftest import TRANSPORTS, Watch
from tests.realtime.serving import Server
from tests.realtime.viewers import View, watching
from tests.waiting import eventually_async

Start = Callable[..., Server]
STRANGE = "f" * 32


@pytest.fixture
def server(start_server: Start) -> Server:
    """It makes no position checks: what arrives came by a hint, or by reading a hole."""
    return start_server(check=NEVER)


async def test_a_page_without_a_cursor_gets_a_snapshot(
    server: Server, watch: Watch, order: Order
) -> None:
    await grow(order, 2)

    async with watch(server=server) as page:
        assert await page.in_step() == ("snapshot", 3)

    assert (page.snapshot["epoch"], page.snapshot["state"]) == (await epoch(), "created")
    assert page.snapshot["data"]["total"] == 1_000
    assert page.versions == []


async def test_a_page_at_the_head_is_current_and_gets_what_comes_in_order(
    server: Server, watch: Watch, order: Order
) -> None:
    async with watch(server=server, cursor=(await epoch(), 1)) as page:
        assert await page.in_step() == ("current", 1)
        await grow_and_announce(order, 3)
        await page.until(lambda p: p.versions == [2, 3, 4])

    assert page.snapshot == {}


@pytest.mark.parametrize("behind", [4, 300])
async def test_a_page_that_was_away_gets_what_it_missed(
    server: Server, watch: Watch, order: Order, behind: int
) -> None:
    await grow(order, behind + 1)

    async with watch(server=server, cursor=(await epoch(), 2)) as page:
        assert await page.in_step() == ("tail", behind + 2)
        await page.until(lambda p: p.versions == list(range(3, behind + 3)))


async def test_a_page_too_far_behind_gets_a_snapshot(
    server: Server, watch: Watch, order: Order
) -> None:
    await grow(order, 301)

    async with watch(server=server, cursor=(await epoch(), 1)) as page:
        assert await page.in_step() == ("snapshot", 302)

    assert page.versions == []


@pytest.mark.parametrize(("word", "version"), [("another", 1), (None, 9), (None, 2**49)])
async def test_a_cursor_of_another_epoch_or_from_the_future_gets_a_snapshot(
    server: Server, watch: Watch, order: Order, word: str | None, version: int
) -> None:
    async with watch(server=server, cursor=(word or await epoch(), version)) as page:
        assert await page.in_step() == ("snapshot", 1)
        await grow_and_announce(order)
        await page.until(lambda p: p.versions == [2])


async def test_a_hole_is_healed(server: Server, watch: Watch, order: Order) -> None:
    async with watch(server=server, cursor=(await epoch(), 1)) as page:
        await page.in_step()
        hints = await grow(order, 5)
        await announce(hints[0])
        await announce(hints[4])
        await page.until(lambda p: p.versions == [2, 3, 4, 5, 6])


async def test_doubled_and_reordered_hints_show_each_version_once_and_in_order(
    server: Server, watch: Watch, order: Order
) -> None:
    async with watch(server=server, cursor=(await epoch(), 1)) as page:
        await page.in_step()
        hints = await grow(order, 6)
        await announce(*(hints[i] for i in (2, 1, 1, 0, 5, 3, 4, 4, 0)))
        await announce(*reversed(hints))
        await page.until(lambda p: len(p.versions) >= 6)
        await grow_and_announce(order)
        await page.until(lambda p: 8 in p.versions)

    assert page.versions == [2, 3, 4, 5, 6, 7, 8]


async def test_what_was_never_announced_is_found(
    start_server: Start, watch: Watch, order: Order
) -> None:
    server = start_server(check=0.2)

    async with watch(server=server, cursor=(await epoch(), 1)) as page:
        await page.in_step()
        await grow(order, 3)
        await page.until(lambda p: p.versions == [2, 3, 4])


async def test_a_page_that_leaves_and_comes_back_sees_everything_once(
    server: Server, watch: Watch, order: Order
) -> None:
    seen: list[int] = []
    cursor = (await epoch(), 1)
    for visit in range(3):
        async with watch(server=server, cursor=cursor) as page:
            await page.in_step()
            await grow_and_announce(order, 2)
            await page.until(partial(_stands_at, 4 * visit + 3))
        await grow(order, 2)
        seen += page.versions
        assert page.cursor is not None
        cursor = page.cursor

    assert seen == list(range(2, 12))


def _stands_at(version: int, page: View) -> bool:
    return page.cursor is not None and page.cursor[1] == version


@pytest.mark.parametrize(
    ("token", "code"),
    [(None, 4001), ("nonsense", 4003), ("stranger's", 4003), ("expired", 4005)],
)
async def test_who_may_not_see_the_order_is_refused(
    server: Server, watch: Watch, order: Order, token: str | None, code: int
) -> None:
    tokens = {
        "stranger's": access.issue_grant([STRANGE]),
        "expired": access.issue_grant([order.ref], timedelta(seconds=-1)),
    }
    async with watch(server=server, token=tokens.get(token or "", token)) as page:
        assert await page.refused() == code

    assert page.standings == []


@pytest.mark.parametrize("name", [STRANGE, "no-ref-at-all"])
async def test_an_order_that_does_not_exist_looks_like_one_that_is_not_yours(
    server: Server, watch: Watch, name: str
) -> None:
    async with watch(server=server, order=name) as page:
        assert await page.refused() == 4003

    assert page.standings == []


async def test_a_grant_that_runs_out_ends_a_page_of_any_transport(
    start_server: Start, order: Order
) -> None:
    server = start_server(access_check=0.1)
    # Long enough for a busy machine to open three pages.
    grant = access.issue_grant([order.ref], timedelta(seconds=3))
    async with AsyncExitStack() as open_pages:
        pages = [
            await open_pages.enter_async_context(watching(each, server, order.ref, token=grant))
            for each in TRANSPORTS
        ]
        for page in pages:
            await page.in_step()
        for page in pages:
            assert await page.refused() == 4005


async def test_every_transport_tells_the_same_events(server: Server, order: Order) -> None:
    views: list[View] = []
    await grow(order, 2)
    for transport in TRANSPORTS:
        service = settings.ORDERCAST_SERVICE_TOKEN
        cursor = (await epoch(), 1)
        async with watching(transport, server, order.ref, token=service, cursor=cursor) as page:
            await page.until(lambda p: p.versions == [2, 3])
        views.append(page)

    over_websocket, over_sse, polled = (view.events for view in views)
    assert over_websocket == over_sse
    # The API also says where an event came from, and writes the instant with fewer digits.
    assert [_common(event) for event in polled] == [_common(event) for event in over_sse]


def _common(event: dict[str, Any]) -> dict[str, Any]:
    at = datetime.fromisoformat(event["at"])
    at = at.replace(microsecond=at.microsecond // 1_000 * 1_000)
    return {**event, "source": "", "at": at}


async def test_a_page_that_has_gone_is_forgotten(
    server: Server, watch: Watch, transport: str
) -> None:
    if transport == "polling":
        pytest.skip("a poll leaves nothing to forget")
    async with watch(server=server) as page:
        await page.in_step()
        assert connections() == 1

    await eventually_async(lambda: connections() == 0)


def connections() -> int:
    health: dict[str, Any] = local.health() or {"connections": -1}
    return int(health["connections"])
