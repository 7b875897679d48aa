"""Catch-up reads, coalesced: what is asked within a moment becomes one query of up to 200 streams.

A read may wait as long as the database is away; it is repeated with a growing pause and never lost in silence.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orders.journal import queries
from realtime.protocol.frames import Frame
from realtime.protocol.messages import encode_event
from realtime.pubsub import names
from realtime.runtime.batching import Window
from realtime.runtime.database_threads import PASSING_ERRORS, DatabaseThreads
from realtime.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)

STREAMS_PER_QUERY = 200
HEADS_PER_QUERY = 2_000
PAUSES = (0.05, 0.1, 0.25, 0.5, 1.0)  # seconds between tries; the last one repeats
HEAD_ONLY = 2**31 - 1  # "after" this version there is nothing: the head and the state alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Catchup:
    """A stream as one query saw it. `frames` are the versions after + 1 … version without a hole; where `is_cut`
    too many are missing, and there are none."""

    epoch: str
    after: int
    version: int
    state: str
    facts: dict[str, Any]
    frames: tuple[Frame, ...]
    is_cut: bool


class StreamSource(Protocol):
    """Where the streams of one kind of topic are read. Both are called in a thread, and may raise."""

    kind: str

    def read(self, after: Mapping[str, int]) -> Mapping[str, Catchup]:
        """The streams `{key: version held}`. Unknown keys are absent."""

    def heads(self, keys: Sequence[str]) -> tuple[str, Mapping[str, int]]:
        """The epoch, and the head version of each known key."""


class OrderSource:
    kind = names.ORDER

    def read(self, after: Mapping[str, int]) -> Mapping[str, Catchup]:
        reading = queries.read_streams(after)
        return {
            ref: Catchup(
                epoch=reading.epoch,
                after=after[ref],
                version=stream.version,
                state=stream.state,
                facts=stream.facts,
                frames=tuple(
                    Frame("event", encode_event(record), record.epoch, record.version)
                    for record in stream.events
                ),
                is_cut=stream.is_cut,
            )
            for ref, stream in reading.streams.items()
        }

    def heads(self, keys: Sequence[str]) -> tuple[str, Mapping[str, int]]:
        return queries.heads(keys)


_Ask = tuple[int, "asyncio.Future[Catchup | None]"]


class JournalReader:
    """Reads one kind of stream for one event loop."""

    def __init__(
        self, source: StreamSource, threads: DatabaseThreads, supervisor: Supervisor
    ) -> None:
        self._source, self._threads, self._supervisor = source, threads, supervisor
        self._asked: dict[str, list[_Ask]] = {}
        self._window = Window(self._flush)
        self.queries = 0
        self.failures = 0  # in a row

    def read(self, key: str, after: int) -> "asyncio.Future[Catchup | None]":
        """What the stream holds after `after`; None for an unknown one. The query begins after this call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Catchup | None] = loop.create_future()
        self._ask(key, (after, future))
        return future

    async def heads(self, keys: Sequence[str]) -> tuple[str, Mapping[str, int]]:
        """The epoch and the head of each known key. Raises the database's errors: the caller asks again anyway."""
        self.queries += 1
        return await self._threads.run(self._source.heads, keys)

    def _ask(self, key: str, ask: _Ask) -> None:
        self._asked.setdefault(key, []).append(ask)
        self._window.ask()

    def _flush(self) -> None:
        asked, self._asked = list(self._asked.items()), {}
        for start in range(0, len(asked), STREAMS_PER_QUERY):
            batch = dict(asked[start : start + STREAMS_PER_QUERY])
            self._supervisor.spawn(self._answer(batch), f"{self._source.kind} read")

    async def _answer(self, batch: dict[str, list[_Ask]]) -> None:
        after = {key: min(held for held, _ in asks) for key, asks in batch.items()}
        try:
            found = await self._until_read(after, batch)
        except Exception as error:  # noqa: BLE001 — bad data: whoever asked must hear it, and others not suffer
            self._refuse(batch, error)
            return
        for key, asks in batch.items():
            view = found.get(key)
            again: list[_Ask] = []
            for held, future in asks:
                if view is not None and view.is_cut and held > after[key]:
                    again.append((held, future))
                elif not future.done():
                    future.set_result(view)
            if again:
                # Someone else was too far behind, not these. Not with the next who ask: they may be too.
                self._supervisor.spawn(self._answer({key: again}), f"{self._source.kind} read")

    async def _until_read(
        self, after: dict[str, int], batch: dict[str, list[_Ask]]
    ) -> Mapping[str, Catchup]:
        while True:
            try:
                self.queries += 1
                found = await self._threads.run(self._source.read, after)
            except PASSING_ERRORS as error:
                if all(future.done() for asks in batch.values() for _, future in asks):
                    return {}  # nobody waits any more
                if self.failures % 20 == 0:
                    logger.warning("reading %d streams failed, retrying: %s", len(after), error)
                pause = PAUSES[min(self.failures, len(PAUSES) - 1)]
                self.failures += 1
                await asyncio.sleep(pause)
            else:
                self.failures = 0
                return found

    def _refuse(self, batch: dict[str, list[_Ask]], error: Exception) -> None:
        """One stream that cannot be decoded must not keep the others: each is tried alone, and then refused."""
        if len(batch) > 1:
            for key, asks in batch.items():
                self._supervisor.spawn(self._answer({key: asks}), f"{self._source.kind} read")
            return
        for key, asks in batch.items():
            logger.error("reading stream %s:%s failed", self._source.kind, key, exc_info=error)
            for _, future in asks:
                if not future.done():
                    future.set_exception(error)
