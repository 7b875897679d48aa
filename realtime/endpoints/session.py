"""One socket of the protocol `orders.v1`, once its handshake is accepted: what a client says, put to the hub.

Nothing here waits, and nothing knows how the server hands over what it has read. Events do not pass here.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import lru_cache
from typing import Any

from realtime.access.authentication import Access, Denied
from realtime.endpoints.refusals import Refusals
from realtime.endpoints.subscribing import Subscribing
from realtime.hub import local
from realtime.hub.hub import ConnectionRefused
from realtime.protocol.frames import WEBSOCKET, Frame, Message
from realtime.protocol.messages import (
    BARE_PING,
    BARE_PONG,
    BYTES_FOR_AN_ORDER,
    INTERNAL_ERROR,
    MESSAGE_BURST,
    MESSAGES_PER_SECOND,
    ORDERS_FOR_A_MESSAGE,
    BadFrame,
    ClientFrame,
    ClientPing,
    Close,
    Hello,
    Refresh,
    Subscribe,
    Unsubscribe,
    Wanted,
    Welcome,
    parse_client_frame,
)
from realtime.pubsub.names import order_topic

logger = logging.getLogger(__name__)

PONG = Frame("pong", BARE_PONG)
# Longer messages wait for their turn (`realtime.runtime.turns`), and with them what the same socket says after them.
INLINE = 4_096  # characters
GRANTS_IN_A_SLICE = 10  # each of them is a signature that has to be checked


@lru_cache(maxsize=8)
def _welcome(ping: float, silence: float) -> Frame:
    """The same for all, so it is encoded once."""
    welcome = Welcome(heartbeat_ms=int(ping * 1000), silence_ms=int(silence * 1000))
    return Frame("welcome", welcome.encode())


def asked_by_address(ref: str, query: Mapping[str, list[str]]) -> Wanted:
    """The order that the socket's address names, from the cursor in its query."""
    epoch, version = query.get("epoch", [None])[0], query.get("version", [""])[0]
    # A malformed cursor is no cursor: the answer is a snapshot.
    held = int(version) if version.isascii() and version.isdigit() and len(version) < 16 else None
    return Wanted.model_construct(order=ref, epoch=epoch, version=held, grant=None)


class OrderSocket:
    """Of one order (`asked`, by its address) or of many. `send` is as ASGI's."""

    __slots__ = (
        "_allowance",
        "_allowed_at",
        "_asked",
        "_inbox",
        "_subscribing",
        "connection",
        "hub",
    )

    def __init__(
        self,
        send: Callable[[Message], Coroutine[Any, Any, None]],
        asked: Wanted | None,
        address: str = "",
    ) -> None:
        """Join the hub and say welcome. Raises `ConnectionRefused`."""
        self._asked = asked
        self._inbox: deque[str] | None = None  # messages that wait for a turn
        self.hub = local.running()
        self.connection = connection = self.hub.connect(send, WEBSOCKET, address)
        self._allowance, self._allowed_at = float(MESSAGE_BURST), connection.heard_at
        refusals = Refusals(connection, None if asked is None else asked.order)
        connection.on_refused = refusals.add
        self._subscribing = Subscribing(self.hub, connection, refusals)
        times = self.hub.timing
        connection.write(_welcome(times.ping, times.silence))

    def enter(self, access: Access) -> None:
        """With what the handshake has shown."""
        self.connection.access = access
        if not self._subscribing.hold():
            return
        if not access.credentials:  # a cookie alone may be anybody's
            asyncio.get_running_loop().call_later(self.hub.timing.hello, self._still_unknown)
        if not access.is_empty and self._asked is not None:
            self._subscribing.begin([self._asked], set())

    def hear(self, text: str | None) -> None:
        """One message; None for a binary one."""
        connection = self.connection
        connection.heard_at = time.monotonic()
        if connection.is_closed:
            return
        if not self._is_within_rate(connection.heard_at):
            connection.fail(Close.BAD_MESSAGE, f"at most {MESSAGES_PER_SECOND} messages a second")
            return
        if text is None:
            connection.fail(Close.BAD_MESSAGE, "frames are text, this one is binary")
            return
        try:
            # By its length, and before it is read: that alone is a third of the work.
            self.hub.charge(connection, 1 + len(text) // BYTES_FOR_AN_ORDER)
        except ConnectionRefused as refused:
            connection.fail(refused.code, str(refused))
            return
        if self._inbox is not None:
            self._inbox.append(text)
        elif len(text) > INLINE:
            self._inbox = deque([text])
            self.hub.turns.add(self._work())
        else:
            for _ in self._steps(text):
                pass

    def _work(self) -> Iterator[None]:
        while self._inbox and not self.connection.is_closed:
            yield from self._steps(self._inbox.popleft())
            yield
        self._inbox = None

    def _steps(self, text: str) -> Iterator[None]:
        """Do what a message asks for, in slices."""
        connection = self.connection
        if text == BARE_PING:
            connection.speaks = True
            connection.write(PONG)
            return
        try:
            yield from self._obey(parse_client_frame(text))
        except (BadFrame, ConnectionRefused, Denied) as wrong:
            connection.fail(wrong.code, str(wrong))
        except Exception:
            logger.exception("handling a client's message failed")
            connection.fail(Close.INTERNAL, INTERNAL_ERROR)

    def _still_unknown(self) -> None:
        if self.connection.access.credentials or self.connection.is_closed:
            return
        if self.connection.access.is_empty:
            self._no_credentials()
        else:
            self.hub.supervisor.spawn(self._log_in_alone(), "log-in")

    def _no_credentials(self) -> None:
        self.connection.fail(
            Close.NO_CREDENTIALS,
            "no credentials: send ?token=, Authorization: Bearer, a session, or hello with a token",
        )

    def _is_within_rate(self, now: float) -> bool:
        gained = (now - self._allowed_at) * MESSAGES_PER_SECOND
        self._allowance, self._allowed_at = min(self._allowance + gained, MESSAGE_BURST) - 1, now
        return self._allowance >= 0

    def _obey(self, frame: ClientFrame) -> Iterator[None]:
        match frame:
            case ClientPing():
                self.connection.speaks = True
            case Hello():
                self._charge(frame.subscribe)
                yield from self._hello(frame)
            case Subscribe():
                self._charge(frame.subscribe)
                yield from self._watch(frame.subscribe)
            case Unsubscribe():
                for ref in frame.orders:
                    self._subscribing.forget(ref)
                    self.hub.unsubscribe(self.connection, order_topic(ref))
            case Refresh():
                self.connection.access.add(frame.token)
                self.hub.hold(self.connection)

    def _charge(self, wanted: list[Wanted]) -> None:
        """A thousand orders are more work than a ping. Whoever is over the rate hears so at the next message."""
        self._allowance -= len(wanted) / ORDERS_FOR_A_MESSAGE

    def _hello(self, hello: Hello) -> Iterator[None]:
        was_empty = self.connection.access.is_empty
        if hello.token is not None:
            self.connection.access.add(hello.token)
            self.hub.hold(self.connection)
        if self._asked is not None and was_empty and not self.connection.access.is_empty:
            yield from self._watch([self._asked])
        yield from self._watch(hello.subscribe)

    def _watch(self, wanted: list[Wanted]) -> Iterator[None]:
        # A grant that is no good is as good as none: whether its order may be seen without it is decided as ever.
        expired: set[str] = set()
        for number, each in enumerate(wanted, 1):
            if self._grant_has_expired(each):
                expired.add(each.order)
            if each.grant is not None and number % GRANTS_IN_A_SLICE == 0:
                yield
        if any(each.grant is not None for each in wanted):
            self.hub.hold(self.connection)
        if self.connection.access.is_empty and expired:
            self.connection.fail(Close.TOKEN_EXPIRED, Close.TOKEN_EXPIRED.meaning)
        elif self.connection.access.is_empty:
            self._no_credentials()
        elif wanted:
            self._subscribing.begin(wanted, expired)

    def _grant_has_expired(self, wanted: Wanted) -> bool:
        try:
            if wanted.grant is not None:
                self.connection.access.add(wanted.grant)
        except Denied as denied:
            return denied.code is Close.TOKEN_EXPIRED
        return False

    async def _log_in_alone(self) -> None:
        """Nobody has asked for an order: is there somebody at all?"""
        try:
            await self.connection.access.log_in()
        except Exception as error:  # noqa: BLE001 — whatever it is, the page must hear that it has no answer
            self._subscribing.cannot_ask(error)
            return
        if self._subscribing.hold():
            self._still_unknown()
