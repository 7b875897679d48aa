"""A journal and clients that do as they are told, for a hub without a database and without sockets."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from realtime.hub.connection import Connection
from realtime.hub.hub import Hub, TopicRequest
from realtime.hub.journal_reader import Catchup
from realtime.protocol.frames import WEBSOCKET, Frame, Message
from realtime.protocol.messages import Close
from realtime.pubsub.names import ORDER, order_topic
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
