"""Pages that watch, leave and resume, and write down everything that they see, twice if they see it twice."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.chaos.ground import TOKEN
from tests.chaos.plan import Life
from tests.chaos.wires import Wire

PASSING = (OSError, WebSocketException, httpx.HTTPError, TimeoutError)
PATIENCE = 10.0  # seconds for a handshake


@dataclass
class Seen:
    version: int
    id: str
    at: float  # wall-clock seconds


@dataclass
class Span:
    """From `synced` until the line was no longer whole: while a page is promised everything at once."""

    version: int  # where the page stood at its beginning
    began: float
    ended: float = 0.0
    seen: dict[int, float] = field(default_factory=dict)


@dataclass
class Track:
    """One order as one page saw it. Versions after `base` are to be seen, each once and in turn."""

    order: str
    epoch: str = ""
    version: int = 0  # the cursor; with an epoch
    base: int = -1
    seen: list[Seen] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    is_watched: bool = True  # until the end, and not left for another order
    is_whole: bool = False  # the line, now

    def synced(self, frame: dict[str, Any], now: float) -> None:
        for event in frame.get("events", ()):
            self.take(event, now)
        if self.base < 0:
            self.base = frame["version"] - len(frame.get("events", ()))
        self.epoch, self.version = frame["epoch"], frame["version"]
        self.broke(now)
        self.is_whole = True
        self.spans.append(Span(self.version, now))

    def take(self, event: dict[str, Any], now: float) -> None:
        self.seen.append(Seen(event["version"], event["id"], now))
        self.epoch, self.version = event["epoch"], event["version"]
        if self.is_whole:
            self.spans[-1].seen.setdefault(event["version"], now)

    def broke(self, now: float) -> None:
        """The line is no longer whole: what is late from here on is not the server's fault."""
        if self.is_whole:
            self.spans[-1].ended = now
            self.is_whole = False


class Window(Protocol):
    """Where pages choose what to watch."""

    def some(self, rng: random.Random, count: int) -> list[str]: ...


Frames = AsyncIterator[dict[str, Any]]


class Page:
    """`count` orders on one socket, or one order by server-sent events."""

    def __init__(
        self, number: int, life: Life, wire: Wire, window: Window, *, is_sse: bool
    ) -> None:
        self.number, self._life, self.wire, self._window = number, life, wire, window
        self._is_sse = is_sse
        self._count = 1 if is_sse or number % 3 else 5
        self.tracks: list[Track] = []
        self.current: dict[str, Track] = {}
        self.frames = self.refusals = self.visits = self.farewells = 0
        self.endings: dict[str, int] = {}
        self.last_words = ""

    async def live(self, is_over: asyncio.Event) -> None:
        """Visit after visit, and from `is_over` on only stay: until cancelled."""
        while True:
            visit = self._life.next()
            if visit.moves or not self.current:
                self._move()
            ending = "lost"
            try:
                async with self._line() as frames:
                    reading = asyncio.create_task(self._read(frames))
                    try:
                        ending = await self._stay(reading, visit.stay, visit.ending, is_over)
                    finally:
                        self._broke()
                        reading.cancel()
                        await asyncio.gather(reading, return_exceptions=True)
            except PASSING as error:
                self.last_words = repr(error)
            self.endings[ending] = self.endings.get(ending, 0) + 1
            self.wire.cut()
            self.visits += 1
            away = 0.2 if ending == "lost" or is_over.is_set() else visit.away
            await asyncio.sleep(away * self._life.rng.uniform(0.5, 1))

    async def _stay(
        self, reading: "asyncio.Task[None]", seconds: float, ending: str, is_over: asyncio.Event
    ) -> str:
        """How it ended: as was meant, or `lost`."""
        over = asyncio.create_task(is_over.wait())
        try:
            await asyncio.wait({reading, over}, timeout=seconds, return_when="FIRST_COMPLETED")
            if is_over.is_set() and not reading.done():
                await asyncio.wait({reading})
            if reading.done():
                reading.result()
                return "lost"
            if ending in {"black_hole", "stall"}:
                self._broke()
                (self.wire.swallow if ending == "black_hole" else self.wire.hold)()
                await asyncio.wait({over}, timeout=self._life.rng.uniform(0.5, 4))
            if ending == "stall":
                self.wire.flow()
                await asyncio.wait({reading, over}, timeout=2)
            elif ending == "cut":
                self._broke()
                self.wire.cut()
            return ending
        finally:
            over.cancel()

    async def _read(self, frames: Frames) -> None:
        async for frame in frames:
            now = time.time()
            self.frames += 1
            self.farewells += frame["type"] == "draining"
            track = self.current.get(frame.get("order", ""))
            if frame["type"] == "error":
                self.refusals += 1
                self.last_words = str(frame)
            elif track is not None and frame["type"] == "synced":
                track.synced(frame, now)
            elif track is not None and frame["type"] == "event":
                track.take(frame, now)

    def _broke(self) -> None:
        for track in self.current.values():
            track.broke(time.time())

    def _move(self) -> None:
        chosen = self._window.some(self._life.rng, self._count)
        for track in self.current.values():
            track.is_watched = False
        self.current = {order: Track(order) for order in chosen}
        self.tracks += self.current.values()

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[Frames]:
        tracks = list(self.current.values())
        if self._is_sse:
            async with _event_stream(self.wire.port, tracks[0]) as frames:
                yield frames
        else:
            async with _socket(self.wire.port, tracks) as frames:
                yield frames


@asynccontextmanager
async def _socket(port: int, tracks: Sequence[Track]) -> AsyncIterator[Frames]:
    async with connect(
        f"ws://127.0.0.1:{port}/ws/orders/",
        additional_headers={"Authorization": f"Bearer {TOKEN}"},
        subprotocols=["orders.v1"],  # type: ignore[list-item]
        proxy=None,
        compression=None,
        ping_interval=None,
        open_timeout=PATIENCE,
        close_timeout=0.5,
    ) as socket:
        wanted = [
            {"order": t.order, **({"epoch": t.epoch, "version": t.version} if t.epoch else {})}
            for t in tracks
        ]
        await socket.send(json.dumps({"type": "hello", "subscribe": wanted}))

        async def frames() -> Frames:
            async for text in socket:
                yield json.loads(text)

        yield frames()


@asynccontextmanager
async def _event_stream(port: int, track: Track) -> AsyncIterator[Frames]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if track.epoch:
        headers["Last-Event-ID"] = f"{track.epoch}:{track.version}"
    timeout = httpx.Timeout(PATIENCE, read=None)
    async with (
        httpx.AsyncClient(trust_env=False, timeout=timeout) as client,
        client.stream(
            "GET", f"http://127.0.0.1:{port}/api/orders/{track.order}/stream", headers=headers
        ) as answer,
    ):
        answer.raise_for_status()

        async def frames() -> Frames:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

        yield frames()


async def stop(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
