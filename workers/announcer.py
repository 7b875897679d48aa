"""Enqueues the task `announce` without ever holding up whoever committed.

A daemon thread of each process takes what has come meanwhile and makes one task of it. Limit: all of this is a hint.
What does not fit, or meets a broker that is away, is dropped and counted; position checks make up for it.
"""

import logging
import os
import threading
import time
from collections import deque
from typing import Any

from orders import tracing

logger = logging.getLogger(__name__)

Hint = list[Any]  # order, epoch, version, the encoded frame

CAPACITY = 10_000  # hints that wait for the thread
HINTS_PER_TASK = 200
PAUSE = 2.0  # seconds without a try after the broker has failed
IDLE = 60.0  # seconds; only how often an idle thread looks around
_UNSAID = "…"  # or Celery would make a text of all frames for each task, which nobody reads


class Announcer:
    """One process's thread and what waits for it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.dropped = 0
        self._waiting: deque[tuple[Hint, str]] = deque()  # each with what caused it
        self._work = threading.Event()
        self._resting_until = 0.0
        threading.Thread(target=self._run, name="announcer", daemon=True).start()

    def put(self, hint: Hint) -> None:
        """Announce it soon, perhaps. Takes microseconds and never raises."""
        if len(self._waiting) >= CAPACITY or time.monotonic() < self._resting_until:
            self.dropped += 1
            return
        self._waiting.append((hint, tracing.current()))
        self._work.set()

    def _run(self) -> None:
        while True:
            self._work.wait(IDLE)
            self._work.clear()
            while self._waiting:
                self._enqueue([self._waiting.popleft() for _ in range(self._next_size())])

    def _next_size(self) -> int:
        return min(len(self._waiting), HINTS_PER_TASK)

    def _enqueue(self, waited: list[tuple[Hint, str]]) -> None:
        from workers.tasks import announce

        hints = [hint for hint, _ in waited]
        headers = {tracing.HEADER: sorted({cause for _, cause in waited if cause})}
        # Typed as anything: Celery's types know neither a header's list nor `argsrepr`.
        options: dict[str, Any] = {"headers": headers, "argsrepr": _UNSAID}
        try:
            announce.apply_async((hints,), retry=False, ignore_result=True, **options)
        except Exception as error:  # noqa: BLE001 — whatever a broker raises, it is away
            lost = len(hints) + len(self._waiting)
            self._waiting.clear()
            self.dropped += lost
            self._resting_until = time.monotonic() + PAUSE
            logger.warning(
                "the broker is away, %d hints are dropped and pages are up to 3 s late: %r",
                lost,
                error,
            )


_announcer: Announcer | None = None
_lock = threading.Lock()


def put(hint: Hint) -> None:
    """Announce an event that is committed. After a fork the child makes a thread of its own."""
    current().put(hint)


def current() -> Announcer:
    """This process's announcer."""
    global _announcer  # noqa: PLW0603 — one thread in a process is the point
    if _announcer is None or _announcer.pid != os.getpid():
        with _lock:
            if _announcer is None or _announcer.pid != os.getpid():
                _announcer = Announcer()
    return _announcer
