"""A page watches orders over a socket. What holds for every transport stands in `test_conformance`."""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from django.conf import settings

from orders.models import Order
from realtime.hub import local
from realtime.pubsub.names import Hint
from tests.builders import an_order
from tests.realtime.conftest import NEVER, announce, epoch, grow_and_announce, in_thread
from tests.realtime.serving import Server, cursor, page
from tests.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("either_way")

Start = Callable[..., Server]


@pytest.fixture
def server(start_server: Start) -> Server:
    """It makes no position checks: what arrives came by a hint, or by reading a hole."""
    return start_server(check=NEVER)


async def test_a_page_without_a_cursor_gets_a_snapshot(server: Server, order: Order) -> None:
    async with page(server, f"{order.ref}/") as watching:
        synced = await watching.synced()

    assert synced == {
        "type": "synced",
        "order": order.ref,
        "epoch": await epoch(),
        "version": 1,
        "mode": "snapshot",
        "state": "created",
        "data": synced["data"],
    }
    assert synced["data"]["total"] == 1_000


async def test_what_is_announced_while_a_page_is_being_read_in_follows_on_it(
    server: Server, order: Order
) -> None:
    word = await epoch()
    hint = {"type": "event", "order": order.ref, "version": 2}
    async with page(server) as watching:
        async with orders_locked():
            wish = {"order": order.ref, "epoch": word, "version": 1}
            await watching.say(type="hello", subscribe=[wish])
            await eventually_async(lambda: groups_joined() == 1)
            # Committed after the reading's moment, for all that the hub can know.
            await announce(Hint(order.ref, word, 2, json.dumps(hint)).signed())
            await watching.socket.send("ping")
            await watching.until(lambda p: p.of("pong"))
            assert not watching.of("synced")
        await watching.until(lambda p: p.versions() == [2])


def groups_joined() -> int:
    health = local.health()
    return int(health["channel_layer"]["groups"]) if health else 0


@asynccontextmanager
async def orders_locked() -> AsyncIterator[None]:
    """Meanwhile, whoever reads orders waits."""
    name = str(settings.DATABASES["default"]["NAME"])
    async with await psycopg.AsyncConnection.connect(
        os.environ["DATABASE_URL"], dbname=name
    ) as other:
        await other.execute("LOCK TABLE orders_order IN ACCESS EXCLUSIVE MODE")
        yield


async def test_a_page_that_comes_back_soon_needs_no_query(server: Server, order: Order) -> None:
    word = await epoch()
    async with page(server, f"{order.ref}/{cursor(word, 1)}") as first:
        await first.synced()
        await grow_and_announce(order, 10)
        await first.until(lambda p: len(p.versions()) == 10)

    async with page(server, f"{order.ref}/{cursor(word, 4)}") as second:
        await second.synced()

    assert second.versions() == [5, 6, 7, 8, 9, 10, 11]


async def test_one_socket_watches_many_orders(server: Server, order: Order) -> None:
    other = await in_thread(an_order)
    word = await epoch()
    async with page(server) as watching:
        wanted = [{"order": o.ref, "epoch": word, "version": 1} for o in (order, other)]
        await watching.say(type="hello", subscribe=wanted)
        await watching.synced(order.ref)
        await watching.synced(other.ref)
        await grow_and_announce(other)
        await watching.until(lambda p: p.versions(other.ref) == [2])
        await watching.say(type="unsubscribe", orders=[other.ref])
        await watching.socket.send("ping")
        await watching.until(lambda p: p.of("pong"))
        await grow_and_announce(other)
        await grow_and_announce(order)
        await watching.until(lambda p: p.versions(order.ref) == [2])

    assert watching.versions(other.ref) == [2]
