"""A hub whose journal and clients do as they are told: who gets in step, who is left alone, and who is sent off."""

import asyncio

import pytest

from realtime.hub.connection import MAX_PENDING
from realtime.hub.hub import Hub
from realtime.protocol.frames import Frame
from realtime.protocol.messages import Close
from realtime.pubsub.names import Hint, order_topic
from realtime.runtime.limits import Timing
from tests.realtime.hub.playing import EPOCH, REFS, Client, Journal, event, from_version
from tests.waiting import eventually_async


async def test_a_client_whose_buffer_fills_as_it_comes_back_gets_what_it_missed_of_all_its_orders(
    hub: Hub, journal: Journal
) -> None:
    journal.heads_of = dict.fromkeys(REFS, 5)
    other, client = Client(hub), Client(hub)
    other.watch(*(from_version(ref, 3) for ref in REFS))
    await other.synced(*REFS)

    client.takes = 10
    client.watch(*(from_version(ref, 3) for ref in REFS))
    await eventually_async(lambda: client.connection.is_lagging)
    client.reads(1_000_000)

    await client.synced(*REFS)
    assert {tuple(client.versions(ref)) for ref in REFS} == {(4, 5)}


async def test_a_client_that_reads_a_little_at_a_time_has_every_order_in_the_end(
    hub: Hub, journal: Journal
) -> None:
    journal.heads_of = dict.fromkeys(REFS, 1)
    client = Client(hub)
    client.watch(*(from_version(ref, 1) for ref in REFS))
    await client.synced(*REFS)

    client.takes = 0
    for ref in REFS:
        hub.hear(order_topic(ref), [Hint(ref, EPOCH, 2, event(ref, 2).text)])
    for _ in range(len(REFS)):
        client.reads(20)
        await eventually_async(lambda: client.takes <= 0 or not client.missing(2))

    assert {tuple(client.versions(ref)) for ref in REFS} == {(2,)}


async def test_who_is_too_far_behind_gets_a_snapshot_and_troubles_nobody_else(
    hub: Hub, journal: Journal
) -> None:
    ref = REFS[0]
    journal.heads_of[ref] = 400
    one, other = Client(hub), Client(hub)
    one.watch(from_version(ref, 399))
    await one.synced(ref)

    other.watch(from_version(ref, 0))
    journal.heads_of[ref] = 401
    await other.synced(ref)
    hub.heal(hub.topics.values())
    await eventually_async(lambda: 401 in other.versions(ref) and 401 in one.versions(ref))

    assert one.versions(ref) == [400, 401]
    assert [f["mode"] for f in one.frames if f["type"] == "synced"] == ["tail"]
    assert other.versions(ref)[-1] == 401
    assert other.frames[0]["mode"] == "snapshot"


async def test_a_cursor_of_no_epoch_is_no_cursor(hub: Hub, journal: Journal) -> None:
    ref = REFS[0]
    journal.heads_of[ref] = 7
    client = Client(hub)

    client.watch(from_version(ref, 0, epoch=""))

    await client.synced(ref)
    assert client.frames[0] | {"mode": "snapshot", "version": 7} == client.frames[0]


@pytest.mark.parametrize("is_live", [True, False])
async def test_a_stream_that_cannot_be_read_ends_its_own_watching_only_and_may_be_asked_for_again(
    hub: Hub, journal: Journal, is_live: bool
) -> None:
    bad, good = REFS[:2]
    journal.heads_of = {bad: 1, good: 1}
    client = Client(hub)
    if is_live:
        client.watch(from_version(bad, 1), from_version(good, 1))
        await client.synced(bad, good)
        journal.heads_of = {bad: 2, good: 2}
        journal.undecodable = {bad}
        hub.heal(hub.topics.values())
    else:
        journal.undecodable = {bad}
        client.watch(from_version(bad, 0), from_version(good, 0))
    await eventually_async(lambda: client.refused)

    assert client.refused == [(bad, Close.INTERNAL)]
    await eventually_async(lambda: client.versions(good) == [journal.heads_of[good]])

    journal.undecodable = set()
    client.watch(from_version(bad, 0))
    await eventually_async(lambda: client.versions(bad)[-1:] == [journal.heads_of[bad]])


async def test_a_restored_journal_that_lacks_an_order_ends_its_watching(
    hub: Hub, journal: Journal
) -> None:
    ref = REFS[0]
    journal.heads_of[ref] = 5
    client = Client(hub)
    client.watch(from_version(ref, 5))
    await client.synced(ref)

    journal.epoch, journal.heads_of = "autumn", {}
    hub.heal(hub.topics.values())

    await eventually_async(lambda: client.refused == [(ref, Close.FORBIDDEN)])
    assert not client.connection.subscriptions


async def test_all_are_checked_in_their_turn_also_while_some_are_triggered(
    journal: Journal,
) -> None:
    hub = Hub([journal], Timing(check=0.1))
    hub.start()
    journal.heads_of[REFS[0]] = 1
    client = Client(hub)
    client.watch(from_version(REFS[0], 1))
    await client.synced(REFS[0])

    async def trigger_all_the_time() -> None:
        while True:
            hub._check.trigger([order_topic(REFS[0])])
            await asyncio.sleep(0)

    triggering = asyncio.ensure_future(trigger_all_the_time())
    try:
        await eventually_async(lambda: hub.health()["position_check"]["seconds_ago"] is not None)
    finally:
        triggering.cancel()
        await hub.stop()


async def test_who_is_owed_too_much_is_closed_and_not_left_without_an_answer(
    hub: Hub,
) -> None:
    client = Client(hub)
    client.takes = 0
    for _ in range(MAX_PENDING + 2):
        client.connection.write(Frame("error", "{}"))

    assert client.connection.is_closed
