"""Hears what Valkey publishes: one connection on the event loop itself, for any number of channels.

redis-py opens the connection (address, TLS, user, password, database) and hands it over. From there on the replies are
read where they arrive, without a task, a timeout and a queue for each message, which cost four times as much.

Limit: pub/sub loses what is published while there is no connection. It comes back by itself and joins all anew;
`on_joined` says of each channel when, and that something may have been lost until then (`is_again`).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from enum import Enum, auto
from itertools import islice
from time import monotonic
from typing import Any, Protocol

import hiredis
import redis
from channels_redis.utils import create_pool

logger = logging.getLogger(__name__)

BATCH = 200  # channels in one command
BUSY = 0.005  # seconds of messages in one turn of the loop; then sockets are read
LARGEST = 16 * 1024 * 1024  # bytes of one reply; a real one has a few KB
PAUSES = (0.05, 0.1, 0.25, 0.5, 1.0)  # seconds before a new connection; the last one repeats
CALM = 5.0  # seconds that a connection holds, after which the pauses begin anew

OnMessage = Callable[[bytes, bytes], None]


class OnJoined(Protocol):
    def __call__(self, channel: bytes, *, is_again: bool) -> None: ...


class _State(Enum):
    NEW = auto()  # asked for
    JOINED = auto()  # Valkey has said so
    LOST = auto()  # was joined on an earlier connection


class Subscriber:
    """`host` is one of `channels_redis`' hosts. `on_message(channel, body)` and `on_joined` must not raise."""

    def __init__(self, host: dict[str, Any], *, on_message: OnMessage, on_joined: OnJoined) -> None:
        self._pool: Any = create_pool(host)
        self._pool.connection_kwargs["protocol"] = 2  # what the messages are read as here
        self._on_message, self._on_joined = on_message, on_joined
        self._channels: dict[bytes, _State] = {}  # all that are wanted
        self._to_join: dict[bytes, None] = {}
        self._to_leave: dict[bytes, None] = {}
        self._line: _Line | None = None
        self._is_flushing = False

    def is_joined(self, channel: bytes) -> bool:
        return self._channels.get(channel) is _State.JOINED

    def counts(self) -> tuple[int, int]:
        """How many channels are wanted, and how many of them are joined. From any thread."""
        states = list(self._channels.values())
        return len(states), states.count(_State.JOINED)

    def join(self, channel: bytes) -> None:
        """Want the channel, on this connection and on those that follow it."""
        if channel not in self._channels:
            self._channels[channel] = _State.NEW
            self._to_join[channel] = None
            self._flush_soon()

    def leave(self, channel: bytes) -> None:
        if self._channels.pop(channel, None) is not None:
            self._to_join.pop(channel, None)
            self._to_leave[channel] = None
            self._flush_soon()

    def reconnect(self) -> None:
        """Give up the present connection, which may be dead without knowing it."""
        if self._line is not None:
            self._line.transport.abort()

    async def run(self) -> None:
        """Keep a connection, for ever."""
        failures = 0
        while True:
            began = monotonic()
            trouble = await self._live()
            if monotonic() - began > CALM:
                failures = 0
            if failures % 30 == 0:
                logger.warning("not connected to Valkey pub/sub, reconnecting: %s", trouble)
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1

    async def _live(self) -> str:
        """One connection, from its beginning to its end. Returns what ended it."""
        try:
            line = await self._connect()
        except (redis.RedisError, OSError, ValueError) as error:
            return repr(error)
        self._line = line
        self._to_join, self._to_leave = dict.fromkeys(self._channels), {}
        self._flush_soon()
        try:
            return await line.ended
        finally:
            self._line = None
            line.transport.abort()
            for channel, state in self._channels.items():
                if state is _State.JOINED:
                    self._channels[channel] = _State.LOST

    async def _connect(self) -> "_Line":
        connection = self._pool.make_connection()
        await connection.connect()
        # From here on redis-py has nothing to do with it: nor would its reader see anything any more.
        writer = connection._writer  # noqa: SLF001 — there is no other way to have all that it can open
        connection._reader = connection._writer = None  # noqa: SLF001 — the same
        line = _Line(writer, self._on_message, self._acknowledged)
        writer.transport.set_protocol(line)
        return line

    def _flush_soon(self) -> None:
        # What is wanted in one turn of the loop goes out together.
        if self._line is not None and not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        line = self._line
        if line is None:
            return  # the next connection begins with all that is wanted then
        # In this order: what was left and is wanted again ends as wanted.
        to_leave, self._to_leave = self._to_leave, {}
        to_join, self._to_join = self._to_join, {}
        line.say(b"UNSUBSCRIBE", to_leave)
        line.say(b"SUBSCRIBE", to_join)

    def _acknowledged(self, channel: bytes) -> None:
        state = self._channels.get(channel)
        if state is None or channel in self._to_join:
            return  # left, or left and wanted anew, since it was asked for
        self._channels[channel] = _State.JOINED
        self._on_joined(channel, is_again=state is _State.LOST)


class _Line(asyncio.Protocol):
    """One connection. `ended` is done when it has come to its end, and says why."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        on_message: OnMessage,
        on_acknowledged: Callable[[bytes], None],
    ) -> None:
        self._writer = writer  # a writer that nobody holds closes its transport
        self.transport: Any = writer.transport
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._on_message, self._on_acknowledged = on_message, on_acknowledged
        self._reader = hiredis.Reader()
        self._unanswered: dict[bytes, int] = {}  # commands about each channel
        self._is_resting = False

    def say(self, command: bytes, channels: Iterable[bytes]) -> None:
        unanswered, left = self._unanswered, iter(channels)
        while batch := tuple(islice(left, BATCH)):
            for channel in batch:
                unanswered[channel] = unanswered.get(channel, 0) + 1
            words: Any = (command, *batch)
            self.transport.write(hiredis.pack_command(words))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(repr(exc) if exc else "the connection was closed")

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if not self._is_resting:
            self._read()

    def _read(self) -> None:
        try:
            self._take_replies()
        except (hiredis.HiredisError, LookupError, TypeError, ValueError) as error:
            self._end(f"malformed reply: {error!r}")

    def _take_replies(self) -> None:
        until, gets, on_message = monotonic() + BUSY, self._reader.gets, self._on_message
        while (reply := gets()) is not False:
            if type(reply) is not list:
                raise ValueError(repr(reply))
            if reply[0] == b"message":
                on_message(reply[1], reply[2])
            elif self._is_settled(reply[1]) and reply[0] == b"subscribe":
                self._on_acknowledged(reply[1])
            if monotonic() > until:
                self._rest()
                return
        if self._reader.len() > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")

    def _is_settled(self, channel: bytes) -> bool:
        """Whether no command about this channel is still to be answered after this one."""
        left = self._unanswered[channel] = self._unanswered[channel] - 1
        if not left:
            del self._unanswered[channel]
        return not left

    def _rest(self) -> None:
        self._is_resting = True
        self.transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_resting = False
        if self.ended.done():
            return
        self._read()
        if not (self._is_resting or self.ended.done()):
            self.transport.resume_reading()

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)
            self.transport.abort()
