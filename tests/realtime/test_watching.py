"""A page watches orders over a real web process, PostgreSQL and Valkey."""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from django.conf import settings

from orders.models import Order
from realtime import process
from tests.builders import an_order
from tests.realtime.conftest import NEVER, announce, epoch, grow, grow_and_announce, in_thread
from tests.realtime.serving import Server, cursor, page
from tests.waiting import eventually_async

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


async def test_a_page_at_the_head_is_current_and_gets_what_comes(
    server: Server, order: Order
) -> None:
    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        synced = await watching.synced()
        assert (synced["mode"], synced["version"]) == ("current", 1)
        await grow_and_announce(order, 3)
        await watching.until(lambda p: p.versions() == [2, 3, 4])

    event = watching.of("event")[0]
    assert event["id"] == f"{order.ref}:2"
    assert event["event"] == "order.flagged"


async def test_a_page_that_was_away_gets_what_it_missed(server: Server, order: Order) -> None:
    await grow(order, 5)

    async with page(server, f"{order.ref}/{cursor(await epoch(), 2)}") as watching:
        synced = await watching.synced()

    assert synced["mode"] == "tail"
    assert [event["version"] for event in synced["events"]] == [3, 4, 5, 6]


async def test_a_page_too_far_behind_gets_a_snapshot(server: Server, order: Order) -> None:
    await grow(order, 301)

    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        synced = await watching.synced()

    assert (synced["mode"], synced["version"]) == ("snapshot", 302)


@pytest.mark.parametrize(("word", "version"), [("another", 1), (None, 9), (None, 2**50)])
async def test_a_cursor_of_another_epoch_or_from_the_future_gets_a_snapshot(
    server: Server, order: Order, word: str | None, version: int
) -> None:
    async with page(server, f"{order.ref}/{cursor(word or await epoch(), version)}") as watching:
        synced = await watching.synced()

    assert (synced["mode"], synced["version"]) == ("snapshot", 1)


async def test_a_hole_is_read_from_the_journal(server: Server, order: Order) -> None:
    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        await watching.synced()
        hints = await grow(order, 5)
        await announce(hints[0])
        await announce(hints[4])
        await watching.until(lambda p: p.versions() == [2, 3, 4, 5, 6])


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
            await announce([order.ref, word, 2, json.dumps(hint)])
            await watching.socket.send("ping")
            await watching.until(lambda p: p.of("pong"))
            assert not watching.of("synced")
        await watching.until(lambda p: p.versions() == [2])


def groups_joined() -> int:
    health = process.health()
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


async def test_doubled_and_reordered_hints_show_each_version_once_and_in_order(
    server: Server, order: Order
) -> None:
    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        await watching.synced()
        hints = await grow(order, 6)
        await announce(*(hints[i] for i in (2, 1, 1, 0, 5, 3, 4, 4, 0)))
        await announce(*reversed(hints))
        await watching.until(lambda p: len(p.versions()) >= 6)
        await grow_and_announce(order)
        await watching.until(lambda p: 8 in p.versions())

    assert watching.versions() == [2, 3, 4, 5, 6, 7, 8]


async def test_a_page_that_comes_back_soon_needs_no_query(server: Server, order: Order) -> None:
    word = await epoch()
    async with page(server, f"{order.ref}/{cursor(word, 1)}") as first:
        await first.synced()
        await grow_and_announce(order, 10)
        await first.until(lambda p: len(p.versions()) == 10)

    async with page(server, f"{order.ref}/{cursor(word, 4)}") as second:
        await second.synced()

    assert second.versions() == [5, 6, 7, 8, 9, 10, 11]


async def test_what_was_never_announced_is_found_by_the_position_check(
    start_server: Start, order: Order
) -> None:
    server = start_server(check=0.2)

    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        await watching.synced()
        await grow(order, 3)
        await watching.until(lambda p: p.versions() == [2, 3, 4])


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


async def test_a_restored_journal_gives_every_page_a_snapshot(
    start_server: Start, order: Order
) -> None:
    from orders.models import JournalEpoch

    server = start_server(check=0.2)
    before = await epoch()
    async with page(server, f"{order.ref}/{cursor(before, 1)}") as watching:
        await watching.synced()
        try:
            await in_thread(JournalEpoch.objects.update, word="restored")
            await watching.until(lambda p: p.of("synced")[-1]["epoch"] == "restored")
        finally:
            await in_thread(JournalEpoch.objects.update, word=before)

    assert watching.of("synced")[-1]["mode"] == "snapshot"
