"""The channel layer as the hub uses it: one channel for the process, joined to the groups of its topics.

The layer is a hint, so nothing waits for it long, and nothing here raises. Pub/sub loses what is sent while it is
away without a word: so the process sends itself an echo each second, and whoever listens hears (`on_back`) when
something may have been lost. A connection that sends but hears nothing any more is replaced.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from channels.layers import get_channel_layer

from realtime import bulk, groups
from realtime.supervision import Supervisor
from realtime.timing import Timing

logger = logging.getLogger(__name__)

BUSY = 0.005  # seconds that the pump works before it lets others run
FLUSH_WITHIN = 2.0  # seconds


class Layer:
    def __init__(
        self,
        supervisor: Supervisor,
        timing: Timing,
        *,
        on_hint: Callable[[dict[str, Any]], None],
        on_back: Callable[[Iterable[str] | None], None],
    ) -> None:
        """`on_back(topics)`: hints of these may have been lost until now; None for all of them."""
        self._supervisor, self._timing = supervisor, timing
        self._on_hint, self._on_back = on_hint, on_back
        self._layer: Any = get_channel_layer()
        self._channel: str | None = None
        self._joined: dict[str, asyncio.Future[None]] = {}  # wanted topics; done once joined
        self._wanted: dict[str, None] = {}  # those of them that are still to be joined, in turn
        self._late: set[str] = set()  # topics that somebody went on without
        self._unwanted: set[str] = set()
        self._work = asyncio.Event()
        self._heard_at = float("-inf")
        self._sent_unheard = 0
        self._was_away = False
        self._watched: set[int] = set()

    @property
    def is_up(self) -> bool:
        """Whether an echo came lately."""
        return time.monotonic() - self._heard_at < self._timing.deaf

    def start(self) -> None:
        self._supervisor.serve("pump", self._pump)
        self._supervisor.serve("joins", self._join_and_leave)
        self._supervisor.serve("echo", self._echo)

    async def stop(self) -> None:
        await self._flush()

    def join(self, topic: str) -> None:
        self._unwanted.discard(topic)
        if topic not in self._joined:
            self._want(topic)

    def _want(self, topic: str) -> None:
        self._joined[topic] = asyncio.get_running_loop().create_future()
        self._wanted[topic] = None
        self._work.set()

    def leave(self, topic: str) -> None:
        if self._joined.pop(topic, None) is not None:
            self._late.discard(topic)
            self._wanted.pop(topic, None)
            self._unwanted.add(topic)
            self._work.set()

    async def joined(self, topics: Iterable[str]) -> None:
        """Wait until the topics' groups are joined, but not long, and not at all while the layer is away.

        What was not joined in time is told to `on_back` once it is.
        """
        waiting = {t: self._joined[t] for t in topics if t in self._joined}
        pending = {t: future for t, future in waiting.items() if not future.done()}
        if pending and (self.is_up or not self._was_away):
            await asyncio.wait(pending.values(), timeout=self._timing.join)
        self._late.update(t for t, future in pending.items() if not future.done())

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        self._channel = None
        channel = await self._layer.new_channel()
        self._channel = channel
        for topic, future in list(self._joined.items()):
            if future.done():
                self._want(topic)
                self._late.add(topic)
        self._work.set()
        self._watch_reconnects()
        rested_at = loop.time()
        while True:
            message = await self._layer.receive(channel)
            if message["type"] == groups.HINT:
                self._on_hint(message)
            elif message["type"] == groups.ECHO:
                self._heard()
            # `receive` does not wait while messages are there; sockets must be read in between all the same.
            if loop.time() - rested_at > BUSY:
                await asyncio.sleep(0)
                rested_at = loop.time()

    async def _join_and_leave(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            late: list[str] = []
            try:
                await self._join_all(late)
                await self._leave_all()
            except Exception:
                self._work.set()  # what is left is done after the restart
                raise
            finally:
                if late:
                    self._on_back(late)

    async def _join_all(self, late: list[str]) -> None:
        # Without a channel there is nothing to join with; the pump sets `_work` when it has one.
        while self._wanted and self._channel is not None:
            channel, batch = self._channel, list(islice(self._wanted, bulk.BATCH))
            await bulk.add(self._layer, [groups.group_name(topic) for topic in batch], channel)
            if self._channel != channel:
                continue  # joined in vain: there is another channel now
            for topic in batch:
                # Nobody may want it any more; or it was wanted anew, which this serves as well.
                if self._wanted.pop(topic, self) is self:
                    continue
                self._joined[topic].set_result(None)
                if topic in self._late:
                    self._late.discard(topic)
                    late.append(topic)

    async def _leave_all(self) -> None:
        while self._unwanted:
            batch = list(islice(self._unwanted, bulk.BATCH))
            # Taken out first: one that is wanted again meanwhile is joined again after this.
            self._unwanted.difference_update(batch)
            if self._channel is None:
                continue
            try:
                names = [groups.group_name(topic) for topic in batch]
                await bulk.discard(self._layer, names, self._channel)
            except Exception:
                self._unwanted.update(topic for topic in batch if topic not in self._joined)
                raise

    async def _echo(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(self._timing.echo)
            if not self.is_up and self._heard_at > float("-inf"):
                self._was_away = True
            if self._channel is None:
                self._was_away = True
                continue
            number += 1
            try:
                await self._layer.send(self._channel, groups.echo_message(number))
            except Exception as error:  # noqa: BLE001 — whatever a layer raises, it is away
                if not self._was_away:
                    logger.warning("the channel layer is away, pages are up to 3 s late: %r", error)
                self._was_away = True
                self._sent_unheard = 0
                continue
            self._sent_unheard += 1
            self._watch_reconnects()
            if self._sent_unheard * self._timing.echo > self._timing.deaf:
                logger.warning("the channel layer sends but does not deliver; connecting anew")
                self._was_away, self._sent_unheard = True, 0
                await self._replace()

    async def _replace(self) -> None:
        """Throw the layer's connections away, and begin with a new channel."""
        self._channel = None
        await self._flush()
        self._supervisor.restart("pump")

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_WITHIN):
                await self._layer.flush()
        except Exception as error:  # noqa: BLE001 — whatever a layer raises, its connections are given up
            logger.debug("flushing the channel layer: %r", error)

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self._sent_unheard = 0
        if self._was_away:
            self._was_away = False
            logger.info("the channel layer is back")
            self._on_back(None)

    def _watch_reconnects(self) -> None:
        """Hear at once when redis-py has connected the subscriber anew. Without it, the next check does as well."""
        for shard in getattr(self._layer, "_shards", ()):
            connection = getattr(getattr(shard, "_pubsub", None), "connection", None)
            if connection is not None and id(connection) not in self._watched:
                self._watched = {id(connection)}
                connection.register_connect_callback(self._reconnected)

    async def _reconnected(self, _connection: object) -> None:
        self._on_back(None)

    def health(self) -> dict[str, Any]:
        waiting = sum(not future.done() for future in self._joined.values())
        return {"is_up": self.is_up, "groups": len(self._joined) - waiting, "waiting": waiting}
