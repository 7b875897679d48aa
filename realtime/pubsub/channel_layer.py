"""The channel layer as the hub uses it: one subscriber for the process, joined to the groups of its topics.

What is sent to a group goes through the layer as ever; it is heard by `Subscriber`, since the layer's own way of
receiving costs four times as much. The layer is a hint, so nothing waits for it long, and nothing here raises. Pub/sub
loses what is sent while it is away without a word: so the process sends itself an echo each second, and whoever listens
hears (`on_back`) when something may have been lost. A connection that hears nothing while sending works is replaced.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubLoopLayer
from django.core.exceptions import ImproperlyConfigured

from realtime.pubsub import names
from realtime.pubsub.subscriber import Subscriber
from realtime.runtime.limits import Timing
from realtime.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)

FLUSH_WITHIN = 2.0  # seconds


class Layer:
    """Made on the event loop that it serves. Raises `ImproperlyConfigured` for a layer that cannot be heard."""

    def __init__(
        self,
        supervisor: Supervisor,
        timing: Timing,
        *,
        on_hint: Callable[[str, list[names.Hint]], None],
        on_back: Callable[[Iterable[str] | None], None],
    ) -> None:
        """`on_back(topics)`: hints of these may have been lost until now; None for all of them."""
        self._supervisor, self._timing = supervisor, timing
        self._on_hint, self._on_back = on_hint, on_back
        self._layer: Any = get_channel_layer()
        inner = _inner(self._layer)
        self._prefix: str = inner._get_group_channel_name("")  # noqa: SLF001 — one place makes this name
        self._echo_channel = f"{inner.prefix}echo.{uuid.uuid4().hex}"
        host = inner._shards[0].host  # noqa: SLF001 — where the layer itself would listen
        self._subscriber = Subscriber(host, on_message=self._received, on_joined=self._joined)
        self._subscriber.join(self._echo_channel.encode())
        self._waiting: dict[str, asyncio.Future[None]] = {}  # topics that somebody waits for
        self._late: set[str] = set()  # topics that somebody went on without
        self._heard_at = float("-inf")
        self._sent_unheard = 0
        self._was_away = False

    @property
    def is_up(self) -> bool:
        """Whether an echo came lately."""
        return time.monotonic() - self._heard_at < self._timing.deaf

    def start(self) -> None:
        self._supervisor.serve("pump", self._subscriber.run)
        self._supervisor.serve("echo", self._echo)

    async def stop(self) -> None:
        await self._flush()

    def join(self, topic: str) -> None:
        self._subscriber.join(self._channel(topic))

    def leave(self, topic: str) -> None:
        self._late.discard(topic)
        self._waiting.pop(topic, None)
        self._subscriber.leave(self._channel(topic))

    async def joined(self, topics: Iterable[str]) -> None:
        """Wait until the topics' groups are joined, but not long, and not at all while the layer is away.

        `on_back` is called with what was not joined in time, once it is.
        """
        missing = [topic for topic in topics if not self._is_joined(topic)]
        if missing and (self.is_up or not self._was_away):
            futures = [self._future(topic) for topic in missing]
            await asyncio.wait(futures, timeout=self._timing.join)
        self._late.update(topic for topic in missing if not self._is_joined(topic))

    def _is_joined(self, topic: str) -> bool:
        return self._subscriber.is_joined(self._channel(topic))

    def _future(self, topic: str) -> "asyncio.Future[None]":
        found = self._waiting.get(topic)
        if found is None:
            found = self._waiting[topic] = asyncio.get_running_loop().create_future()
        return found

    def _channel(self, topic: str) -> bytes:
        return (self._prefix + names.group_name(topic)).encode()

    def _joined(self, channel: bytes, *, is_again: bool) -> None:
        name = channel.decode()
        if name == self._echo_channel:
            return
        topic = names.topic_of(name.removeprefix(self._prefix))
        waiting = self._waiting.pop(topic, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        if is_again or topic in self._late:
            self._late.discard(topic)
            self._on_back([topic])

    def _received(self, _channel: bytes, body: bytes) -> None:
        # Whatever goes wrong, the hints after it are worth hearing, and what this one meant stands in the journal.
        try:
            message = self._layer.deserialize(body)
            kind = message["type"]
            hints = names.hints_in(message) if kind == names.HINT else None
        except Exception as error:  # noqa: BLE001 — anybody who can write to Valkey may have written it
            logger.warning("a malformed hint was dropped: %s", type(error).__name__)
            self._on_back(None)
            return
        try:
            if hints is not None:
                self._take(*hints)
            elif kind == names.ECHO:
                self._heard()
        except Exception:
            logger.exception("a hint was not taken")
            self._on_back(None)

    def _take(self, topic: str, hints: list[names.Hint]) -> None:
        genuine = [hint for hint in hints if hint.is_genuine]
        if genuine:
            self._on_hint(topic, genuine)
        if len(genuine) < len(hints):
            # Also of a process before a deploy, which did not sign. What it meant stands in the journal.
            logger.debug("hints of %s without a valid signature; the journal is read", topic)
            self._on_back([topic])

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self._sent_unheard = 0
        if self._was_away:
            self._was_away = False
            logger.info("channel layer reconnected")
            self._on_back(None)

    async def _echo(self) -> None:
        number = unjoined = 0
        while True:
            await asyncio.sleep(self._timing.echo)
            if not self.is_up and self._heard_at > float("-inf"):
                self._was_away = True
            if not self._subscriber.is_joined(self._echo_channel.encode()):
                self._was_away = True
                unjoined += 1
                if unjoined * self._timing.echo > self._timing.deaf:
                    unjoined = 0
                    self._subscriber.reconnect()  # if there is a connection, nobody answers at its other end
                continue
            unjoined = 0
            number += 1
            try:
                await self._layer.send(self._echo_channel, names.echo_message(number))
            except Exception as error:  # noqa: BLE001 — whatever a layer raises, it is away
                if not self._was_away:
                    logger.warning("channel layer unavailable, pages are up to 3 s late: %r", error)
                self._was_away = True
                self._sent_unheard = 0
                continue
            self._sent_unheard += 1
            if self._sent_unheard * self._timing.echo > self._timing.deaf:
                logger.warning("channel layer sends but does not deliver, reconnecting")
                self._was_away, self._sent_unheard = True, 0
                self._subscriber.reconnect()
                await self._flush()

    async def _flush(self) -> None:
        """Throw the layer's own connections away; sending opens new ones."""
        try:
            async with asyncio.timeout(FLUSH_WITHIN):
                await self._layer.flush()
        except Exception as error:  # noqa: BLE001 — whatever a layer raises, its connections are given up
            logger.debug("flushing the channel layer failed: %r", error)

    def health(self) -> dict[str, Any]:
        wanted, joined = self._subscriber.counts()
        # The echo's channel is no group.
        is_joined = self._subscriber.is_joined(self._echo_channel.encode())
        groups_joined = joined - is_joined
        return {
            "is_up": self.is_up,
            "groups": groups_joined,
            "waiting": wanted - 1 - groups_joined,
        }


def _inner(layer: Any) -> Any:
    """The event loop's own part of the layer, which knows its names and where it listens."""
    inner = getattr(layer, "_get_layer", lambda: None)()
    if not isinstance(inner, RedisPubSubLoopLayer) or len(inner._shards) != 1:  # noqa: SLF001 — of a known class
        raise ImproperlyConfigured(
            "CHANNEL_LAYERS must name channels_redis.pubsub.RedisPubSubChannelLayer with one host"
        )
    return inner
