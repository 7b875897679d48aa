"""A hub whose journal and clients do as they are told: who gets in step, who is left alone, and who is sent off."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from realtime.hub.connection import MAX_PENDING, Connection
from realtime.hub.hub import Hub, TopicRequest
from realtime.hub.journal_reader import Catchup
from realtime.protocol.frames import WEBSOCKET, Frame, Message
from realtime.protocol.messages import Close
from realtime.pubsub.names import ORDER, Hint, order_topic
from realtime.runtime.limits import Timing
from tests.realtime.conftest import NEVER
from tests.waiting import eventually_async

EPOCH = "spring"
TAIL = 300
REFS = [f"{number:032x}" for number in range(400)]


def event(ref: str, version: int) -> Frame:
    text = json.dumps({"type": "event", "order": ref, "version": version})
    return Frame("event", text, EPOCH, version)


class Journal:
    """The heads of streams, whose events are made as they are asked for."""

    kind = ORDER

    def __init__(self) -> None:
        self.epoch = EPOCH
        self.heads_of: dict[str, int] = {}
        self.undecodable: set[str] = set()

    def read(self, after: Mapping[str, int]) -> Mapping[str, Catchup]:
        if self.undecodable & after.keys():
            raise ValueError("an event of tomorrow")
        return {ref: self._view(ref, held) for ref, held in after.items() if ref in self.heads_of}

    def heads(self, keys: Sequence[str]) -> tuple[str, Mapping[str, int]]:
        return self.epoch, {key: self.heads_of[key] for key in keys if key in self.heads_of}

    def _view(self, ref: str, held: int) -> Catchup:
        head = self.heads_of[ref]
        is_cut = head - held > TAIL
        frames = () if is_cut else tuple(event(ref, v) for v in range(held + 1, head + 1))
        return Catchup(
            epoch=self.epoch, after=held, version=head, state="paid", facts={}, frames=frames,
            is_cut=is_cut,
        )  # fmt: skip


class Client:
    """Takes `takes` frames, and the next when it `reads`."""

    def __init__(self, hub: Hub) -> None:
        self.frames: list[dict[str, Any]] = []
        self.takes = 1_000_000
        self.closed: int | None = None
        self.refused: list[tuple[str, Close]] = []
        self._can_take = asyncio.Event()
        self.hub = hub
        self.connection: Connection = hub.connect(self._send, WEBSOCKET)
        self.connection.on_refused = lambda key, why: self.refused.append((key, why))

    async def _send(self, message: Message) -> None:
        while self.takes <= 0:
            self._can_take.clear()
            await self._can_take.wait()
        self.takes -= 1
        if message["type"] == "websocket.close":
            self.closed = message["code"]
        else:
            self.frames.append(json.loads(message["text"]))

    def reads(self, frames: int) -> None:
        self.takes = frames
        self._can_take.set()

    def watch(self, *requests: TopicRequest) -> None:
        self.hub.catch_up(self.hub.subscribe(self.connection, requests))

    def versions(self, ref: str) -> list[int]:
        """What it was told of, in tails and by themselves; a snapshot is a version too."""
        seen: list[int] = []
        for frame in self.frames:
            if frame.get("order") != ref:
                continue
            if "events" in frame:
                seen += [each["version"] for each in frame["events"]]
            elif frame["type"] == "event" or frame.get("mode") == "snapshot":
                seen.append(frame["version"])
        return seen

    def missing(self, version: int) -> bool:
        return any(version not in self.versions(ref) for ref in REFS)

    async def synced(self, *refs: str) -> None:
        await eventually_async(
            lambda: set(refs) <= {f["order"] for f in self.frames if f["type"] == "synced"}
        )


def from_version(ref: str, version: int | None, epoch: str = EPOCH) -> TopicRequest:
    return TopicRequest(order_topic(ref), epoch, version)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
async def hub(journal: Journal) -> AsyncIterator[Hub]:
    """It makes no position checks, unless it is triggered."""
    made = Hub([journal], Timing(check=NEVER))
    made.start()
    yield made
    await made.stop()


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
