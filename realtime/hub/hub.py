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

from realtime.access.authentication import Access, holders
from realtime.hub import heartbeat, latency
from realtime.hub.access_check import AccessCheck
from realtime.hub.catch_up import CatchUp, result_of
from realtime.hub.connection import Connection
from realtime.hub.connection_limits import ConnectionLimits
from realtime.hub.journal_reader import Catchup, JournalReader, OrderSource, StreamSource
from realtime.hub.position_check import PositionCheck
from realtime.hub.topic import Listener, Position, Subscription, Topic
from realtime.protocol.frames import Encoding, Frame, Message
from realtime.protocol.messages import MAX_SUBSCRIPTIONS, Close
from realtime.pubsub.channel_layer import Layer
from realtime.pubsub.names import Hint
from realtime.runtime.budgets import Budgets
from realtime.runtime.database_threads import DatabaseThreads
from realtime.runtime.limits import Timing, timing
from realtime.runtime.supervisor import Supervisor
from realtime.runtime.turns import Turns

logger = logging.getLogger(__name__)

READER_THREADS = 2


@dataclass(frozen=True, slots=True)
class TopicRequest:
    """A topic that a page wants to watch, from the cursor that it holds."""

    topic: str
    epoch: str | None = None
    version: int | None = None


class ConnectionRefused(Exception):
    """The connection cannot have this. `code` says why."""

    def __init__(self, code: Close, message: str) -> None:
        super().__init__(message)
        self.code = code


class Hub:
    def __init__(
        self, sources: Iterable[StreamSource] | None = None, times: Timing | None = None
    ) -> None:
        self.timing = times or timing()
        self.supervisor = Supervisor()
        self.turns = Turns(self.supervisor)
        self._limits = ConnectionLimits(self.timing.connections())
        self._budgets = Budgets(self.timing.order_rates())
        self.topics: dict[str, Topic] = {}
        self.connections: dict[Connection, None] = {}
        self.lagged = self.too_slow = self.over_limit = 0
        self.is_draining = False
        self.drain_task: asyncio.Future[None] | None = None  # under way at a stop
        self._threads = DatabaseThreads("journal", READER_THREADS)
        self.readers = {
            source.kind: JournalReader(source, self._threads, self.supervisor)
            for source in (sources or [OrderSource()])
        }
        self._check = PositionCheck(self.topics, self.readers, self.heal, self.timing.check)
        self.layer = Layer(
            self.supervisor, self.timing, on_hint=self.hear, on_back=self._check.trigger
        )
        self._catch_up = CatchUp(
            self.readers,
            self.supervisor,
            joined=self.layer.joined,
            apply=self.apply,
            refuse=self.refuse,
        )
        self._heartbeat = heartbeat.Heartbeat(self.connections, self.timing)
        self._access_check = AccessCheck(
            self.connections, self.unsubscribe, self.timing.access_check
        )

    def start(self) -> None:
        """Begin; needs neither the database nor Valkey yet."""
        self.layer.start()
        self.supervisor.serve("position check", self._check.run)
        self.supervisor.serve("heartbeat", self._heartbeat.run)
        self.supervisor.serve("access check", self._access_check.run)
        self.supervisor.serve("topics", self._forget_idle)

    async def stop(self) -> None:
        for connection in list(self.connections):
            connection.gone()
        await self.supervisor.stop()
        await self.layer.stop()
        self._threads.close()

    async def drain(self) -> None:
        """Take nobody in any more, and send away who is here, spread over some seconds."""
        self.is_draining = True
        await heartbeat.drain(self.connections, self.timing.drain)

    # Connections

    def connect(
        self,
        send: Callable[[Message], Coroutine[Any, Any, None]],
        encoding: Encoding,
        address: str = "",
    ) -> Connection:
        """Take a socket or stream in. Raises `ConnectionRefused`."""
        self.check_room()
        connection = Connection(self, send, encoding, time.monotonic(), address)
        self._heartbeat.admit(connection)
        self.connections[connection] = None
        return connection

    def check_room(self) -> None:
        """Raises `ConnectionRefused` where nobody can be taken in."""
        if self.is_draining:
            raise ConnectionRefused(Close.DRAINING, "server is draining, reconnect")
        if len(self.connections) >= self.timing.max_connections:
            raise ConnectionRefused(
                Close.TOO_MANY, "this process is at its connection limit, retry later"
            )

    def check_limits(self, access: Access, address: str) -> None:
        """Raises `ConnectionRefused` where whoever shows this holds as many connections as they may."""
        self._need_room(self._limits.full(holders(access, address)))

    def hold(self, connection: Connection) -> None:
        """Count it for whom it has shown to be by now. Raises `ConnectionRefused` as `check_limits`."""
        names = holders(connection.access, connection.address)
        self._need_room(self._limits.hold(connection, names))

    def _need_room(self, full: str | None) -> None:
        if full is not None:
            self.over_limit += 1
            kind, most = full.partition(":")[0], self._limits.most(full)
            raise ConnectionRefused(
                Close.TOO_MANY,
                f"at most {most} connections for each {kind}: close some, or retry later",
            )

    def charge(self, connection: Connection, orders: int) -> None:
        """For work that it asks for, to those for whom it is counted. Raises `ConnectionRefused` for too much."""
        over = self._budgets.spend(connection.held, orders)
        if over is not None:
            self.over_limit += 1
            kind = over.partition(":")[0]
            rate = 60 * self.timing.order_rates()[kind]
            raise ConnectionRefused(
                Close.TOO_MANY,
                f"at most {rate:g} orders a minute for each {kind}: retry later, ask for less",
            )

    def forget(self, connection: Connection) -> None:
        """It is gone: end its subscriptions."""
        self.connections.pop(connection, None)
        self._limits.release(connection)
        for name in list(connection.subscriptions):
            self.unsubscribe(connection, name)

    def subscribe(
        self, connection: Connection, requests: Iterable[TopicRequest]
    ) -> list[Subscription]:
        """Register the page with its topics; `catch_up` then brings it in step. Raises `ConnectionRefused`.

        Subscribing again to a topic begins anew from the new cursor.
        """
        wanted = {request.topic: request for request in requests}
        if len(connection.subscriptions.keys() | wanted.keys()) > MAX_SUBSCRIPTIONS:
            raise ConnectionRefused(
                Close.TOO_MANY, f"at most {MAX_SUBSCRIPTIONS} orders on one socket"
            )
        return [self._register(connection, request) for request in wanted.values()]

    def catch_up(self, subscriptions: Iterable[Subscription]) -> None:
        """Bring these in step with their topics, soon."""
        self._catch_up.soon(subscriptions)

    def unsubscribe(self, listener: Listener, name: str) -> None:
        subscription = listener.subscriptions.pop(name, None)
        if subscription is None:
            return
        subscription.park()
        topic = subscription.topic
        del topic.members[listener]
        if not topic.members:
            topic.idle_since = time.monotonic()

    def refuse(self, subscription: Subscription, why: Close) -> None:
        """Its stream cannot be watched, or not any longer."""
        listener, topic = subscription.listener, subscription.topic
        self.unsubscribe(listener, topic.name)
        listener.refuse(topic.key, why)

    def _register(self, connection: Connection, request: TopicRequest) -> Subscription:
        self.unsubscribe(connection, request.topic)
        topic = self.topics.get(request.topic)
        if topic is None:
            topic = self.topics[request.topic] = Topic(request.topic)
            # Join before reading: an event committed in between may arrive twice, never not at all.
            self.layer.join(topic.name)
        topic.idle_since = None
        subscription = Subscription(connection, topic, request.epoch, request.version)
        topic.members[connection] = connection.subscriptions[topic.name] = subscription
        return subscription

    # Topics

    def hear(self, name: str, hints: Iterable[Hint]) -> None:
        """Hints of the topic `name`, in any order. Only on the hub's own loop."""
        topic = self.topics.get(name)
        if topic is None:
            return
        for hint in hints:
            is_news = hint.version > topic.position.version
            if not topic.take(Frame("event", hint.frame, hint.epoch, hint.version)):
                self.heal([topic])
            if is_news:
                latency.noted.note(hint.frame)

    def heal(self, topics: Iterable[Topic]) -> None:
        """Read from the journal what these topics miss."""
        missing = [t for t in topics if not (t.is_reading or t.is_cold)]
        for topic in missing:
            topic.is_reading = True
        if missing:
            self.supervisor.spawn(self._heal(missing), "heal")

    async def _heal(self, topics: list[Topic]) -> None:
        readings = [
            (t, t.position, self.readers[t.kind].read(t.key, t.position.version)) for t in topics
        ]
        for topic, asked, reading in readings:
            view = await result_of(reading)
            topic.is_reading = False
            if isinstance(view, Close):
                topic.lose()
                for subscription in list(topic.members.values()):
                    self.refuse(subscription, view)
                continue
            try:
                self.apply(topic, view, asked)
            except Exception:
                logger.exception("heal of %s failed", topic.name)

    def apply(self, topic: Topic, view: Catchup, asked: Position) -> None:
        """Take into a topic what was read of it; `asked` is where it stood when the reading was asked for."""
        # What was missed until now is late by so much; a topic that begins has missed nothing.
        held = view.version if topic.is_cold else topic.position.version
        if not topic.apply(view, asked):
            self.heal([topic])
        for frame in view.frames:
            if frame.version > held:
                latency.noted.note(frame.text)

    async def _forget_idle(self) -> None:
        while True:
            await asyncio.sleep(min(self.timing.linger, 1.0))
            before = time.monotonic() - self.timing.linger
            for topic in list(self.topics.values()):
                # An unknown order is not worth keeping.
                is_kept = not topic.is_cold and (topic.idle_since or 0) > before
                if topic.idle_since is not None and not is_kept:
                    del self.topics[topic.name]
                    self.layer.leave(topic.name)

    def health(self) -> dict[str, Any]:
        """What `/health/ready` shows. From any thread."""
        return {
            "connections": len(self.connections),
            "topics": len(self.topics),
            "lagging": sum(c.is_lagging for c in list(self.connections)),
            "lagged": self.lagged,
            "too_slow": self.too_slow,
            "over_limit": self.over_limit,
            "is_draining": self.is_draining,
            "channel_layer": self.layer.health(),
            "position_check": self._check.health(),
            "queries": sum(reader.queries for reader in self.readers.values()),
            "services": self.supervisor.health(),
        }
