"""One socket or SSE stream, as the hub sees it. It has no task and no queue while it keeps up.

A write that would wait makes it *lagging*: the write that was begun is finished in a task, what comes meanwhile is
dropped, and then the connection is synchronised again from its own cursors, like a page that comes back. What a slow
client costs is bounded by the server's write buffer, one frame, and `MAX_OWED` small frames.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from realtime.access.authentication import Access
from realtime.hub import raw_send
from realtime.protocol.frames import Frame, Message, Wire
from realtime.protocol.messages import MAX_SUBSCRIPTIONS, Close, Error

if TYPE_CHECKING:
    from realtime.hub.hub import Hub
    from realtime.hub.topic import Subscription

logger = logging.getLogger(__name__)

# Protocol frames kept for a lagging connection: pongs, and an error for each order that it asked for; not `synced`.
MAX_OWED = MAX_SUBSCRIPTIONS + 32


class Connection:
    __slots__ = (
        "access",
        "close_at",
        "heard_at",
        "hub",
        "is_closed",
        "is_lagging",
        "leave_at",
        "on_close",
        "on_refused",
        "owed",
        "ping_at",
        "protocol",
        "send",
        "speaks",
        "subscriptions",
        "wire",
    )

    def __init__(
        self,
        hub: "Hub",
        send: Callable[[Message], Coroutine[Any, Any, None]],
        wire: Wire,
        now: float,
    ) -> None:
        self.hub, self.send, self.wire = hub, send, wire
        self.protocol = raw_send.takes_whole_frames(send) if wire.whole else None
        self.subscriptions: dict[str, Subscription] = {}
        self.is_lagging = False
        self.is_closed = False
        self.owed: deque[Frame] | None = None
        self.on_close: Callable[[], None] | None = None
        # Told the key of a topic that is not there, or may not be seen any longer.
        self.on_refused: Callable[[str, Close], None] | None = None
        self.access = Access()  # what its right to see stands on
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
            self.owed = self.owed if self.owed is not None else deque()
            if len(self.owed) < MAX_OWED:
                self.owed.append(frame)
            else:
                # Each answers something: dropped, a page would wait for it in vain.
                self.hub.too_slow += 1
                self.close(Close.TOO_SLOW, f"{MAX_OWED} answers were not read")
            return
        whole = self.wire.whole
        if whole and self.protocol is not None and raw_send.is_writable(self.protocol):
            self.protocol.transport.write(whole(frame))
        else:
            self._drive(frame.message(self.wire))

    def fail(self, code: Close, message: str) -> None:
        """Say what was wrong, then close. On a connection that cannot write, both go behind what is buffered."""
        error = Error(code=code, message=message)
        self.write(Frame("error", error.encode()))
        self.close(code, message)

    def close(self, code: Close, reason: str) -> None:
        if self.is_closed:
            return
        if not self.is_lagging:
            self._drive(self.wire.close(code, reason))
        elif raw_send.unblock(self.send):
            for frame in self.owed or ():
                self._push(frame.message(self.wire))
            self._push(self.wire.close(code, reason))
        # A peer that never reads would hold a closing socket for ever.
        asyncio.get_running_loop().call_later(
            self.hub.timing.close_grace, raw_send.abort, self.send
        )
        self.gone()

    def gone(self) -> None:
        """Nothing can be written any more; leave every topic."""
        if self.is_closed:
            return
        self.is_closed = True
        self.hub.forget(self)
        if self.on_close is not None:
            self.on_close()
        # Whoever is behind it holds it too, and both would wait for the garbage collector.
        self.on_close = self.on_refused = None

    def lost(self, error: Exception) -> None:
        """A write failed: the client has gone, and the server says so in its own way."""
        logger.debug("a %s connection is gone: %r", self.wire.name, error)
        self.gone()

    def lag(self, sending: Coroutine[Any, Any, None], waiting: Any) -> None:
        """A write has been begun and waits for the client."""
        self.is_lagging = True
        self.hub.lagged += 1
        for subscription in self.subscriptions.values():
            subscription.park()
        self.hub.supervisor.spawn(self._finish(sending, waiting), "lagging connection")

    async def _finish(self, sending: Coroutine[Any, Any, None], waiting: Any) -> None:
        try:
            async with asyncio.timeout(self.hub.timing.write):
                await raw_send.Resumed(sending, waiting)
        except TimeoutError:
            self.hub.too_slow += 1
            self.fail(Close.TOO_SLOW, f"nothing was read for {self.hub.timing.write:g} s")
            return
        except Exception as error:  # noqa: BLE001 — a server's way to say that the client has gone
            self.lost(error)
            return
        self.is_lagging = False
        while self.owed and not self.is_lagging:
            self._drive(self.owed.popleft().message(self.wire))
        if not (self.is_lagging or self.is_closed):
            self.hub.catching_up.soon(self.subscriptions.values())

    def _drive(self, message: Message) -> None:
        sending = self.send(message)
        try:
            waiting = sending.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 — a server's way to say that the client has gone
            self.lost(error)
        else:
            self.lag(sending, waiting)

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
