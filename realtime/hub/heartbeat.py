"""Age and silence of connections, looked at in rounds: a timer for each socket would cost memory.

A client that sends nothing but reads is kept by the server's WebSocket pings; one that has once sent a ping must go
on, and is closed (4012) after a minute of silence.
"""

import asyncio
import random
import time
from collections.abc import Collection

from realtime.hub.connection import Connection
from realtime.protocol.frames import SSE, Frame
from realtime.protocol.messages import Close, Draining, ServerPing
from realtime.runtime.limits import Timing

ROUND = 1.0  # seconds
LEAVE_WITHIN = 30.0  # seconds that a socket has which has grown too old

PING = Frame("ping", ServerPing().encode())


def draining(seconds: float) -> Frame:
    return Frame("draining", Draining(within_ms=int(seconds * 1000)).encode())


class Heartbeat:
    def __init__(self, connections: Collection[Connection], timing: Timing) -> None:
        self._connections, self._timing = connections, timing

    def admit(self, connection: Connection) -> None:
        # Spread, so that neither pings nor leaves of pages that came together fall together.
        now, chance = connection.heard_at, random.random()  # noqa: S311 — nothing secret about it
        connection.ping_at = now + self._every(connection) * (0.5 + chance / 2)
        connection.leave_at = now + self._timing.max_age * (0.9 + chance / 5)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(ROUND, self._timing.ping))
            now = time.monotonic()
            for connection in list(self._connections):
                self._look(connection, now)

    def _look(self, connection: Connection, now: float) -> None:
        times = self._timing
        if connection.speaks and now - connection.heard_at > times.silence:
            connection.fail(Close.NO_HEARTBEAT, f"no heartbeat for {times.silence:g} s")
        elif now >= connection.close_at:
            connection.fail(Close.DRAINING, "the connection reached its maximum age, reconnect")
        elif now >= connection.leave_at:
            within = min(LEAVE_WITHIN, times.max_age)
            connection.leave_at = float("inf")
            connection.close_at = now + within
            connection.write(draining(within))
        elif now >= connection.ping_at:
            connection.ping_at = now + self._every(connection)
            # A connection that cannot write is not idle, and would only keep the ping.
            if not connection.is_lagging:
                connection.write(PING)

    def _every(self, connection: Connection) -> float:
        times = self._timing
        return times.sse_ping if connection.encoding is SSE else times.ping


async def drain(connections: Collection[Connection], seconds: float) -> None:
    """Ask every connection to leave and close it, spread over `seconds` at most; returns when all are closed."""
    connections = list(connections)
    # A few pages need no long drain: a restart in development is quick.
    seconds = min(seconds, 0.02 * len(connections))
    for connection in connections:
        connection.write(draining(seconds))
    began = time.monotonic()
    for number, connection in enumerate(connections, 1):
        wait = began + seconds * number / len(connections) - time.monotonic()
        if wait > 0.01:
            await asyncio.sleep(wait)
        connection.fail(Close.DRAINING, "server is draining, reconnect")
