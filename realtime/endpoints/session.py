"""One socket of the protocol `orders.v1`, once its handshake is accepted: what a client says, put to the hub.

Nothing here waits, and nothing knows how the server hands over what it has read. Events do not pass here.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache, partial
from typing import Any

from realtime.access.authentication import Access, Answer, Denied
from realtime.hub import local
from realtime.hub.hub import ConnectionRefused, TopicRequest
from realtime.protocol.frames import WEBSOCKET, Frame, Message
from realtime.protocol.messages import (
    AUTHENTICATION_UNAVAILABLE,
    BARE_PING,
    BARE_PONG,
    INTERNAL_ERROR,
    MESSAGE_BURST,
    MESSAGES_PER_SECOND,
    ORDERS_FOR_A_MESSAGE,
    BadFrame,
    ClientFrame,
    ClientPing,
    Close,
    Error,
    Hello,
    Refresh,
    Subscribe,
    Unsubscribe,
    Wanted,
    Welcome,
    parse_client_frame,
)
from realtime.pubsub.names import order_topic
from realtime.runtime.database_threads import PASSING_ERRORS

logger = logging.getLogger(__name__)

PONG = Frame("pong", BARE_PONG)


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

    __slots__ = ("_allowance", "_allowed_at", "_asked", "_pending", "connection", "hub")

    def __init__(
        self, send: Callable[[Message], Coroutine[Any, Any, None]], asked: Wanted | None
    ) -> None:
        """Join the hub and say welcome. Raises `ConnectionRefused`."""
        self._asked = asked
        # Of orders that are being asked about, the message that counts: the last one.
        self._pending: dict[str, list[Wanted]] | None = None
        self.hub = local.running()
        self.connection = connection = self.hub.connect(send, WEBSOCKET)
        self._allowance, self._allowed_at = float(MESSAGE_BURST), connection.heard_at
        connection.on_refused = self._refuse
        times = self.hub.timing
        connection.write(_welcome(times.ping, times.silence))

    def enter(self, access: Access) -> None:
        """With what the handshake has shown."""
        self.connection.access = access
        if not access.credentials:  # a cookie alone may be anybody's
            asyncio.get_running_loop().call_later(self.hub.timing.hello, self._still_unknown)
        if not access.is_empty and self._asked is not None:
            self._watch([self._asked])

    def hear(self, text: str | None) -> None:
        """One message; None for a binary one."""
        try:
            self._hear(text)
        except Exception:
            logger.exception("handling a client's message failed")
            self.connection.fail(Close.INTERNAL, INTERNAL_ERROR)

    def _hear(self, text: str | None) -> None:
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
        if text == BARE_PING:
            connection.speaks = True
            connection.write(PONG)
            return
        try:
            self._obey(parse_client_frame(text))
        except (BadFrame, ConnectionRefused, Denied) as wrong:
            connection.fail(wrong.code, str(wrong))

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

    def _obey(self, frame: ClientFrame) -> None:
        match frame:
            case ClientPing():
                self.connection.speaks = True
            case Hello():
                self._charge(frame.subscribe)
                self._hello(frame)
            case Subscribe():
                self._charge(frame.subscribe)
                self._watch(frame.subscribe)
            case Unsubscribe():
                for ref in frame.orders:
                    if self._pending is not None:
                        self._pending.pop(ref, None)
                    self.hub.unsubscribe(self.connection, order_topic(ref))
            case Refresh():
                self.connection.access.add(frame.token)

    def _charge(self, wanted: list[Wanted]) -> None:
        """A thousand orders are more work than a ping. Whoever is over the rate hears so at the next message."""
        self._allowance -= len(wanted) / ORDERS_FOR_A_MESSAGE

    def _hello(self, hello: Hello) -> None:
        was_empty = self.connection.access.is_empty
        if hello.token is not None:
            self.connection.access.add(hello.token)
        if self._asked is not None and was_empty and not self.connection.access.is_empty:
            self._watch([self._asked])
        self._watch(hello.subscribe)

    def _watch(self, wanted: list[Wanted]) -> None:
        # A grant that is no good is as good as none: whether its order may be seen without it is decided as ever.
        expired = {each.order for each in wanted if self._grant_has_expired(each)}
        if self.connection.access.is_empty and expired:
            self.connection.fail(Close.TOKEN_EXPIRED, Close.TOKEN_EXPIRED.meaning)
        elif self.connection.access.is_empty:
            self._no_credentials()
        elif wanted:
            self._begin(wanted, expired)

    def _begin(self, wanted: list[Wanted], expired: set[str]) -> None:
        self._pending = self._pending or {}
        self._pending.update(dict.fromkeys((w.order for w in wanted), wanted))
        if self.connection.access.session_key is None:
            self._ask(wanted, expired)
        else:
            # Not awaited here: a socket that is being looked up still answers, and notices that it is gone.
            self.hub.supervisor.spawn(self._log_in(wanted, expired), "log-in")

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
        except Exception as error:  # noqa: BLE001 — as below
            self._cannot_ask(error)
        else:
            self._still_unknown()

    async def _log_in(self, wanted: list[Wanted], expired: set[str]) -> None:
        try:
            await self.connection.access.log_in()
        except Exception as error:  # noqa: BLE001 — whatever it is, the page must hear that it has no answer
            self._cannot_ask(error)
        else:
            self._ask(wanted, expired)

    def _ask(self, wanted: list[Wanted], expired: set[str]) -> None:
        asking = self.connection.access.asking(each.order for each in wanted)
        # No task for it: pages come back by the thousand.
        asking.add_done_callback(partial(self._subscribe, wanted, expired))

    def _subscribe(
        self, wanted: list[Wanted], expired: set[str], asking: "asyncio.Future[Answer]"
    ) -> None:
        try:
            visible = self.connection.access.judged(asking.result())
        except Denied as denied:
            self.connection.fail(denied.code, str(denied))
            return
        except Exception as error:  # noqa: BLE001 — as above
            self._cannot_ask(error)
            return
        if expired and not self.connection.access.credentials:
            # As where no cookie was shown: all that there was has run out.
            self.connection.fail(Close.TOKEN_EXPIRED, Close.TOKEN_EXPIRED.meaning)
            return
        wanted = self._still_wanted(wanted)
        for each in wanted:
            if each.order not in visible:
                why = Close.TOKEN_EXPIRED if each.order in expired else Close.FORBIDDEN
                self._refuse(each.order, why)
        if self.connection.is_closed:
            return
        requests = [
            TopicRequest(order_topic(w.order), w.epoch, w.version)
            for w in wanted
            if w.order in visible
        ]
        try:
            self.hub.catch_up(self.hub.subscribe(self.connection, requests))
        except ConnectionRefused as refused:
            self.connection.fail(refused.code, str(refused))

    def _still_wanted(self, wanted: list[Wanted]) -> list[Wanted]:
        """Those that were not unsubscribed, or asked for anew, meanwhile."""
        pending = self._pending or {}
        still = [each for each in wanted if pending.get(each.order) is wanted]
        for each in still:
            pending.pop(each.order, None)
        self._pending = pending or None
        return still

    def _cannot_ask(self, error: Exception) -> None:
        if isinstance(error, PASSING_ERRORS):
            logger.warning("authentication unavailable: %s", error)
        else:
            logger.error("authentication failed by an internal error", exc_info=error)
        self.connection.fail(Close.INTERNAL, AUTHENTICATION_UNAVAILABLE)

    def _refuse(self, ref: str, why: Close) -> None:
        """It may not be seen, or no longer: the end of a socket that is about this order, else of this request only."""
        if self._asked is not None and ref == self._asked.order:
            self.connection.fail(why, why.meaning)
            return
        error = Error(code=why, message=why.meaning, order=ref)
        self.connection.write(Frame("error", error.encode()))
