"""Tells the web processes that streams have grown: `announce`, callable from any thread.

One event loop in a thread of its own, and with it one connection to Valkey, is kept for each process: a loop and a
connection for every send, as `async_to_sync` has it, cost 2 ms and not 0.2. Limit: a hint. It may be lost; a
failure is logged once in a while and never raised.
"""

import asyncio
import concurrent.futures
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from channels.layers import channel_layers

from realtime.pubsub.names import Hint, group_name, hint_message, order_topic

logger = logging.getLogger(__name__)

WAIT = 1.0  # seconds; a task does not wait longer for Valkey
QUIET = 10.0  # seconds between two lines in the log about the same trouble


class Publisher:
    """One process's loop. The channel layer keeps a connection for each loop that uses it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.failed = 0
        self._complained_at = float("-inf")
        # Not the process's shared layer: that one may be in use by another loop, or come through a fork.
        self._layer: Any = channel_layers.make_backend("default")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="publisher", daemon=True
        )
        self._thread.start()

    def announce(self, hints: Iterable[Hint]) -> bool:
        """Send them to whoever watches; whether all were sent."""
        by_topic: dict[str, list[Hint]] = defaultdict(list)
        for hint in hints:
            by_topic[order_topic(hint.order)].append(hint)
        sending = asyncio.run_coroutine_threadsafe(self._send(by_topic), self._loop)
        try:
            sending.result(WAIT)
        except concurrent.futures.TimeoutError:
            sending.cancel()
            self._complain(f"no answer within {WAIT:g} s")
        except Exception as error:  # noqa: BLE001 — whatever a layer raises, it is away
            self._complain(repr(error))
        else:
            return True
        return False

    def close(self) -> None:
        """Give the connection back and end the thread; for whoever makes more than one."""
        asyncio.run_coroutine_threadsafe(self._layer.flush(), self._loop).result(WAIT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT)
        self._loop.close()

    async def _send(self, by_topic: dict[str, list[Hint]]) -> None:
        sends = (
            self._layer.group_send(group_name(topic), hint_message(topic, hints))
            for topic, hints in by_topic.items()
        )
        for result in await asyncio.gather(*sends, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def _complain(self, what: str) -> None:
        self.failed += 1
        now = time.monotonic()
        if now - self._complained_at > QUIET:
            self._complained_at = now
            logger.warning("publishing hints failed, pages are up to 3 s late: %s", what)


_publisher: Publisher | None = None
_lock = threading.Lock()


def announce(hints: Iterable[Hint]) -> bool:
    """Send hints to the pages that watch their orders. Never raises; False where it did not get through."""
    global _publisher  # noqa: PLW0603 — one loop in a process is the point
    with _lock:
        if _publisher is None or _publisher.pid != os.getpid():
            _publisher = Publisher()
    return _publisher.announce(hints)
