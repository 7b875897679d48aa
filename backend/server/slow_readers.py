"""Bounds what a client costs that reads nothing, and cuts it in the end: of any answer, as the hub does with its pages.

By itself the system takes up to 4 MB of each connection off our hands (`net.ipv4.tcp_wmem`), so that neither a server
nor an application notices that nobody reads. Here what it has not sent is bounded; what is under way is bounded by the
client's own window. Limit: of a client that takes less than half of `UNSENT` in all the time that it has, nothing is
seen, and it is cut.
"""

import asyncio
import socket
from contextlib import suppress

UNSENT = 16 * 1024  # bytes: the system asks for more once half of it has gone
_FAMILIES = {socket.AF_INET, socket.AF_INET6}


def bound_unsent(transport: asyncio.BaseTransport) -> None:
    """Let the system hold no more for this connection than `UNSENT`, and one write beyond it."""
    found = transport.get_extra_info("socket")
    if found is None or found.family not in _FAMILIES:
        return  # a proxy on this machine, with the buffer that the system gives it
    with suppress(OSError):  # the client has gone already
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        else:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * UNSENT)


class ReadDeadline:
    """Cuts a connection for which something waits to be written, once nothing of it has left for `seconds`."""

    __slots__ = ("_left", "_progressed", "_seconds", "_timer", "_transport", "is_over")

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport, self._seconds = transport, seconds
        self._left = transport.get_write_buffer_size()
        self.is_over = self._progressed = False
        self._begin()

    def progressed(self) -> None:
        """The client reads: what waited has become less, whatever is added to it now."""
        self._progressed = True

    def cancel(self) -> None:
        self.is_over = True
        self._timer.cancel()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._look)

    def _look(self) -> None:
        left = self._transport.get_write_buffer_size()
        if not left:
            self.is_over = True
        elif self._progressed or left < self._left:
            self._left, self._progressed = left, False
            self._begin()
        else:
            self.is_over = True
            self._transport.abort()
