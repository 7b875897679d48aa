"""Connections that wait for a request. They may wait long, so their number is bounded: the longest waiting goes."""

import asyncio
import logging
import time
from collections import OrderedDict
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState

logger = logging.getLogger(__name__)

MAX_IDLE = 1_000  # a proxy keeps some dozens; each costs a file descriptor and some 10 KB
_WARN_EVERY = 60.0  # seconds


class IdleConnections:
    """Of one server. Transports, the longest waiting first."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[asyncio.Transport, None] = OrderedDict()
        self._warned_at = -_WARN_EVERY

    def add(self, transport: asyncio.Transport) -> None:
        self._waiting[transport] = None
        self._waiting.move_to_end(transport)
        if len(self._waiting) > MAX_IDLE:
            oldest, _ = self._waiting.popitem(last=False)
            oldest.close()
            self._warn()

    def discard(self, transport: asyncio.Transport) -> None:
        self._waiting.pop(transport, None)

    def _warn(self) -> None:
        if (now := time.monotonic()) - self._warned_at >= _WARN_EVERY:
            self._warned_at = now
            logger.warning(
                "more than %d idle HTTP connections: the longest idle ones are closed", MAX_IDLE
            )


_of_servers: "WeakKeyDictionary[ServerState, IdleConnections]" = WeakKeyDictionary()


def idle_connections(server: ServerState) -> IdleConnections:
    found = _of_servers.get(server)
    if found is None:
        found = _of_servers[server] = IdleConnections()
    return found
