"""The one fan-out point of a web process: topics, the pages that watch them, and how a page gets in step.

To subscribe: join the topic's group, read head and tail from the journal (or from the topic's ring), send `synced`,
and follow. The same way serves a page that comes back and a socket that lagged. Everything here runs on one event
loop; what waits for the database or Valkey never holds up what does not.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from realtime import lateness
from realtime.connection import Connection
from realtime.database import DatabaseThreads
from realtime.frames import Frame, Message, Wire
from realtime.heartbeat import Heartbeat
from realtime.journal_reader import HEAD_ONLY, Catchup, JournalReader, OrderSource, Source
from realtime.layer import Layer
from realtime.messages import MAX_SUBSCRIPTIONS, Close, encode_tail
from realtime.position_check import PositionCheck
from realtime.standing import StandingCheck
from realtime.supervision import Supervisor
from realtime.timing import Timing, timing
from realtime.topic import Subscription, Topic, snapshot

logger = logging.getLogger(__name__)

READER_THREADS = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """A topic that a page wants to watch, from the cursor that it holds."""

    topic: str
    epoch: str | None = None
    version: int | None = None


class Refused(Exception):
    """The connection cannot have this. `code` says why."""

    def __init__(self, code: Close, message: str) -> None:
        super().__init__(message)
        self.code = code


class Hub:
    def __init__(
        self, sources: Iterable[Source] | None = None, times: Timing | None = None
    ) -> None:
        self.timing = times or timing()
        self.supervisor = Supervisor()
        self.topics: dict[str, Topic] = {}
        self.connections: dict[Connection, None] = {}
        self.lagged = self.too_slow = 0
        self.is_draining = False
        self.farewell: asyncio.Future[None] | None = None  # under way at a stop
        self._threads = DatabaseThreads("journal", READER_THREADS)
        self._readers = {
            source.kind: JournalReader(source, self._threads, self.supervisor)
            for source in (sources or [OrderSource()])
        }
        self._check = PositionCheck(self.topics, self._readers, self.heal, self.timing.check)
        self._layer = Layer(
            self.supervisor, self.timing, on_hint=self.hear, on_back=self._check.hurry
        )
        self._heartbeat = Heartbeat(self)
        self._standing = StandingCheck(self)

    def start(self) -> None:
        """Begin; needs neither the database nor Valkey yet."""
        self._layer.start()
        self.supervisor.serve("position check", self._check.run)
        self.supervisor.serve("heartbeat", self._heartbeat.run)
        self.supervisor.serve("standing", self._standing.run)
        self.supervisor.serve("topics", self._forget_idle)

    async def stop(self) -> None:
        for connection in list(self.connections):
            connection.gone()
        await self.supervisor.stop()
        await self._layer.stop()
        self._threads.close()

    # Connections

    def connect(
        self, send: Callable[[Message], Coroutine[Any, Any, None]], wire: Wire
    ) -> Connection:
        """Take a socket or stream in. Raises `Refused`."""
        if self.is_draining:
            raise Refused(Close.DRAINING, "this process goes away")
        if len(self.connections) >= self.timing.max_connections:
            raise Refused(Close.TOO_MANY, "this process holds as many connections as it may")
        connection = Connection(self, send, wire, time.monotonic())
        self._heartbeat.admit(connection)
        self.connections[connection] = None
        return connection

    def forget(self, connection: Connection) -> None:
        self.connections.pop(connection, None)
        for name in list(connection.subscriptions):
            self.unsubscribe(connection, name)

    def subscribe(self, connection: Connection, wishes: Iterable[Wish]) -> list[Subscription]:
        """Register the page with its topics; `synchronise` then brings it in step. Raises `Refused`.

        Subscribing again to a topic begins anew from the new cursor.
        """
        wanted = {wish.topic: wish for wish in wishes}
        if len(connection.subscriptions.keys() | wanted.keys()) > MAX_SUBSCRIPTIONS:
            raise Refused(Close.TOO_MANY, f"at most {MAX_SUBSCRIPTIONS} orders on one socket")
        return [self._register(connection, wish) for wish in wanted.values()]

    def unsubscribe(self, connection: Connection, name: str) -> None:
        subscription = connection.subscriptions.pop(name, None)
        if subscription is None:
            return
        subscription.park()
        topic = subscription.topic
        del topic.members[connection]
        if not topic.members:
            topic.idle_since = time.monotonic()

    def _register(self, connection: Connection, wish: Wish) -> Subscription:
        self.unsubscribe(connection, wish.topic)
        topic = self.topics.get(wish.topic)
        if topic is None:
            topic = self.topics[wish.topic] = Topic(wish.topic)
            # Join before reading: an event committed in between may arrive twice, never not at all.
            self._layer.join(topic.name)
        topic.idle_since = None
        subscription = Subscription(connection, topic, wish.epoch, wish.version)
        topic.members[connection] = connection.subscriptions[topic.name] = subscription
        return subscription

    # Getting in step

    async def synchronise(self, subscriptions: list[Subscription]) -> list[Subscription]:
        """Bring pages in step with their topics. Waits as long as the database is away.

        Returns the subscriptions whose topic does not exist, or cannot be read; they are over. One that lags
        meanwhile is left to its connection, which comes back here by itself.
        """
        await self._layer.joined({s.topic.name for s in subscriptions if s.topic.is_cold})
        unknown: list[Subscription] = []
        while subscriptions := [s for s in subscriptions if self._is_waiting(s)]:
            asked = [
                (s, self._readers[s.topic.kind].read(s.topic.key, _read_after(s)))
                for s in subscriptions
                if not self._sync_from_ring(s)
            ]
            for subscription, asking in asked:
                view = await _result(asking)
                if view is None and not subscription.is_over:
                    self.unsubscribe(subscription.connection, subscription.topic.name)
                    unknown.append(subscription)
                elif view is not None:
                    self._took(subscription.topic, view)
                    if self._is_waiting(subscription):
                        self._sync_from_view(subscription, view)
        return unknown

    def _is_waiting(self, subscription: Subscription) -> bool:
        is_busy = subscription.is_live or subscription.connection.is_lagging
        return not (is_busy or subscription.is_over)

    def _sync_from_ring(self, subscription: Subscription) -> bool:
        """Whether what this process holds was enough."""
        topic = subscription.topic
        held = subscription.version
        if held is None or subscription.epoch != topic.position.epoch:
            return False
        frames = topic.frames_after(held)
        if frames is None:
            return False
        self._send_tail(subscription, frames)
        return True

    def _sync_from_view(self, subscription: Subscription, view: Catchup) -> None:
        """Leaves the subscription as it is where the topic has moved on too far; it is read again then."""
        topic, held = subscription.topic, subscription.version
        if view.epoch != topic.position.epoch or self._sync_from_ring(subscription):
            return
        since = topic.frames_after(view.version)  # came by hint after the journal was read
        if since is None:
            return
        is_ours = held is not None and subscription.epoch == view.epoch
        if held is not None and is_ours and not view.is_cut and view.after <= held <= view.version:
            tail = [frame for frame in view.frames if frame.version > held]
            self._send_tail(subscription, tail + since)
            return
        subscription.epoch, subscription.version = view.epoch, view.version
        subscription.connection.write(snapshot(topic, view))
        if since and self._is_waiting(subscription):
            self._send_tail(subscription, since)
        elif self._is_waiting(subscription):
            subscription.go_live()

    def _send_tail(self, subscription: Subscription, frames: list[Frame]) -> None:
        topic = subscription.topic
        epoch, version = subscription.epoch, subscription.version = topic.position
        text = encode_tail(topic.key, epoch, version, [frame.text for frame in frames])
        subscription.connection.write(Frame("synced", text, epoch, version))
        # The write may have been the one that made the connection lag, or ended it.
        if self._is_waiting(subscription):
            subscription.go_live()

    # Topics

    def hear(self, message: dict[str, Any]) -> None:
        """A hint came: events of one topic, in any order. Only on the hub's own loop."""
        topic = self.topics.get(message["topic"])
        if topic is None:
            return
        for epoch, version, text in message["events"]:
            is_news = version > topic.position.version
            if not topic.take(Frame("event", text, epoch, version)):
                self.heal([topic])
            if is_news:
                lateness.noted.note(text)

    def heal(self, topics: Iterable[Topic]) -> None:
        """Read from the journal what these topics miss."""
        missing = [t for t in topics if not (t.is_reading or t.is_cold)]
        for topic in missing:
            topic.is_reading = True
        if missing:
            self.supervisor.spawn(self._heal(missing), "heal")

    async def _heal(self, topics: list[Topic]) -> None:
        asked = [(t, self._readers[t.kind].read(t.key, t.position.version)) for t in topics]
        for topic, asking in asked:
            try:
                view = await _result(asking)
            finally:
                topic.is_reading = False
            if view is not None:
                self._took(topic, view)

    def _took(self, topic: Topic, view: Catchup) -> None:
        # What was missed until now is late by so much; a topic that begins has missed nothing.
        held = view.version if topic.is_cold else topic.position.version
        if not topic.apply(view):
            self.heal([topic])
        for frame in view.frames:
            if frame.version > held:
                lateness.noted.note(frame.text)

    async def _forget_idle(self) -> None:
        while True:
            await asyncio.sleep(min(self.timing.linger, 1.0))
            before = time.monotonic() - self.timing.linger
            for topic in list(self.topics.values()):
                # An unknown order is not worth keeping.
                is_kept = not topic.is_cold and (topic.idle_since or 0) > before
                if topic.idle_since is not None and not is_kept:
                    del self.topics[topic.name]
                    self._layer.leave(topic.name)

    def health(self) -> dict[str, Any]:
        """What `/health/ready` shows. From any thread."""
        return {
            "connections": len(self.connections),
            "topics": len(self.topics),
            "lagging": sum(c.is_lagging for c in list(self.connections)),
            "lagged": self.lagged,
            "too_slow": self.too_slow,
            "is_draining": self.is_draining,
            "channel_layer": self._layer.health(),
            "position_check": self._check.health(),
            "queries": sum(reader.queries for reader in self._readers.values()),
            "services": self.supervisor.health(),
        }


def _read_after(subscription: Subscription) -> int:
    """From where to read, so that both the page and its topic find what they miss."""
    topic = subscription.topic
    held = HEAD_ONLY if subscription.version is None else min(subscription.version, HEAD_ONLY)
    return held if topic.is_cold else min(held, topic.position.version)


async def _result(asking: "asyncio.Future[Catchup | None]") -> Catchup | None:
    try:
        return await asking
    except Exception as error:  # noqa: BLE001 — a stream that cannot be decoded; the reader has logged it
        logger.debug("not readable: %r", error)
        return None
