"""Long work of many connections, done in slices that take turns: nobody's waits for all of another's, and the event
loop is left to everybody else after a few milliseconds.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator
from contextvars import Context, copy_context

from realtime.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)

AT_ONCE = 0.002  # seconds of slices before the loop has its turn


class Turns:
    """For one event loop. Work is an iterator: each step of it is a slice, which should take less than `AT_ONCE`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._waiting: deque[tuple[Context, Iterator[None]]] = deque()
        self._is_running = False

    def add(self, work: Iterator[None]) -> None:
        """Begin it with the next turn, in the context of whoever calls. It deals with its errors itself."""
        self._waiting.append((copy_context(), work))
        if not self._is_running:
            self._is_running = True
            self._supervisor.spawn(self._run(), "turns")

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)
                ends_at = time.perf_counter() + AT_ONCE
                while self._waiting:
                    context, work = self._waiting.popleft()
                    if context.run(_has_more, work):
                        self._waiting.append((context, work))
                    if time.perf_counter() >= ends_at:
                        break
        finally:
            self._is_running = False


def _has_more(work: Iterator[None]) -> bool:
    try:
        next(work)
    except StopIteration:
        return False
    except Exception:
        logger.exception("a slice of work failed")
        return False
    return True
