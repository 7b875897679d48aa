"""One socket or SSE stream, as the hub sees it. It has no task and no queue while it keeps up.

A write that would wait makes it *lagging*: the write that was begun is finished in a task, what comes meanwhile is
dropped, and then the connection is synchronised again from its own cursors, like a page that comes back. What a slow
client costs is bounded by the server's write buffer, one frame, and `MAX_PENDING` small frames.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from realtime.access.authentication import Access
from realtime.hub import raw_send
from realtime.hub.topic import Subscription
from realtime.protocol.frames import Encoding, Frame, Message
from realtime.protocol.messages import MAX_SUBSCRIPTIONS, Close, Error
from realtime.runtime.limits import Timing
from realtime.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)

# Protocol frames kept for a lagging connection: pongs, and an error for each order that it asked for; not `synced`.
MAX_PENDING = MAX_SUBSCRIPTIONS + 32


class Owner(Protocol):
    """What a connection reports to: whoever took it in."""

    timing: Timing
    supervisor: Supervisor
    lagged: int  # how often a connection began to lag
    too_slow: int  # connections that were closed for it

    def catch_up(self, subscriptions: Iterable[Subscription]) -> None:
        """Bring these in step with their topics."""

    def forget(self, connection: "Connection") -> None:
        """It is gone: end its subscriptions."""


class Connection:
    __slots__ = (
        "access",
        "address",
        "close_at",
        "encoding",
        "heard_at",
        "held",
        "is_closed",
        "is_lagging",
        "leave_at",
        "on_close",
        "on_refused",
        "owner",
        "pending",
        "ping_at",
        "protocol",
        "send",
        "speaks",
        "subscriptions",
    )

    def __init__(
        self,
        owner: Owner,
        send: Callable[[Message], Coroutine[Any, Any, None]],
        encoding: Encoding,
        now: float,
        address: str = "",
    ) -> None:
        self.owner, self.send, self.encoding = owner, send, encoding
        self.protocol = raw_send.takes_whole_frames(send) if encoding.whole else None
        self.subscriptions: dict[str, Subscription] = {}
        self.is_lagging = False
        self.is_closed = False
        self.pending: deque[Frame] | None = None
        self.on_close: Callable[[], None] | None = None
        # Called with the key of a topic that is not there, or may not be seen any longer.
        self.on_refused: Callable[[str, Close], None] | None = None
        self.access = Access()  # what its right to see stands on
        self.address = address  # of its client, as far as the server knows
        self.held: frozenset[str] = frozenset()  # whom it is counted for
        self.speaks = False  # has sent a ping, so its silence means something
        self.heard_at = self.ping_at = now
        self.leave_at = self.close_at = float("inf")

    def refuse(self, key: str, why: Close) -> None:
        """Tell whoever is behind the connection that one of its topics is over."""
        if self.on_refused is not None and not self.is_closed:
            self.on_refused(key, why)

    def write(self, frame: Frame) -> None:
        """Write a frame, or keep it for when the connection can write again."""
        if self.is_closed:
            return
        if self.is_lagging:
            self.pending = self.pending if self.pending is not None else deque()
            if len(self.pending) < MAX_PENDING:
                self.pending.append(frame)
            else:
                # Each answers something: dropped, a page would wait for it in vain.
                self.owner.too_slow += 1
                self.close(Close.TOO_SLOW, f"{MAX_PENDING} answers were not read")
            return
        whole, protocol = self.encoding.whole, self.protocol
        if whole is None or protocol is None or not raw_send.try_write(protocol, whole(frame)):
            self.drive(frame.message(self.encoding))

    def fail(self, code: Close, message: str) -> None:
        """Say what was wrong, then close. On a connection that cannot write, both go behind what is buffered."""
        error = Error(code=code, message=message)
        self.write(Frame("error", error.encode()))
        self.close(code, message)

    def close(self, code: Close, reason: str) -> None:
        if self.is_closed:
            return
        if not self.is_lagging:
            self.drive(self.encoding.close(code, reason))
        elif raw_send.unblock(self.send):
            for frame in self.pending or ():
                self._push(frame.message(self.encoding))
            self._push(self.encoding.close(code, reason))
        # A peer that never reads would hold a closing socket for ever.
        asyncio.get_running_loop().call_later(
            self.owner.timing.close_grace, raw_send.abort, self.send
        )
        self.gone()

    def gone(self) -> None:
        """Nothing can be written any more; leave every topic."""
        if self.is_closed:
            return
        self.is_closed = True
        self.owner.forget(self)
        if self.on_close is not None:
            self.on_close()
        # Whoever is behind it holds it too, and both would wait for the garbage collector.
        self.on_close = self.on_refused = None

    def _lost(self, error: Exception) -> None:
        """A write failed: the client has gone, and the server says so in its own way."""
        logger.debug("a %s connection is gone: %r", self.encoding.name, error)
        self.gone()

    def _lag(self, sending: Coroutine[Any, Any, None], waiting: Any) -> None:
        """A write has been begun and waits for the client."""
        self.is_lagging = True
        self.owner.lagged += 1
        for subscription in self.subscriptions.values():
            subscription.park()
        self.owner.supervisor.spawn(self._finish(sending, waiting), "lagging connection")

    async def _finish(self, sending: Coroutine[Any, Any, None], waiting: Any) -> None:
        try:
            async with asyncio.timeout(self.owner.timing.write):
                await raw_send.Resumed(sending, waiting)
        except TimeoutError:
            self.owner.too_slow += 1
            self.fail(Close.TOO_SLOW, f"nothing was read for {self.owner.timing.write:g} s")
            return
        except Exception as error:  # noqa: BLE001 — a server's way to say that the client has gone
            self._lost(error)
            return
        self.is_lagging = False
        while self.pending and not self.is_lagging:
            self.drive(self.pending.popleft().message(self.encoding))
        if not (self.is_lagging or self.is_closed):
            self.owner.catch_up(self.subscriptions.values())

    def drive(self, message: Message) -> None:
        """Send without a task; what waits for the client is finished in one, and the connection lags meanwhile."""
        sending = self.send(message)
        try:
            waiting = sending.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 — a server's way to say that the client has gone
            self._lost(error)
        else:
            self._lag(sending, waiting)

    def _push(self, message: Message) -> None:
        """Write to a connection that was unblocked; if it waits all the same, give this frame up."""
        sending = self.send(message)
        try:
            sending.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 — a server's way to say that the client has gone
            logger.debug("a closing connection is gone: %r", error)
        else:
            sending.close()
