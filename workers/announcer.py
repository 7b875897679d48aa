"""Enqueues the task `announce` without ever holding up whoever committed.

A daemon thread of each process takes what has come meanwhile and makes one task of it. Limit: all of this is a hint.
What does not fit, or meets a broker that is unavailable, is dropped and counted; position checks make up for it.
"""

import logging
import os
import threading
import time
from collections import deque

from orders import clock, tracing
from realtime.pubsub.names import Hint
from workers.celery_internals import Enqueuer

logger = logging.getLogger(__name__)

CAPACITY = 10_000  # hints that wait for the thread
HINTS_PER_TASK = 200
PAUSE = 2.0  # seconds without a try after the broker has failed
IDLE = 60.0  # seconds; only how often an idle thread looks around
SENT_AT = "sent_at"  # a header: seconds by PostgreSQL's clock
STALE = (
    60.0  # seconds after which a hint is not worth sending: position checks have long been there
)


class Announcer:
    """One process's thread and what waits for it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.dropped = 0
        self._waiting: deque[tuple[Hint, str]] = deque()  # each with what caused it
        self._work = threading.Event()
        self._resting_until = 0.0
        self._enqueuer: Enqueuer | None = None  # while the broker is there
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
        causes = sorted({cause for _, cause in waited if cause})
        headers = {tracing.HEADER: causes, SENT_AT: clock.time()}
        try:
            if self._enqueuer is None:
                self._enqueuer = Enqueuer(announce.app)
            self._enqueuer.send(announce, (hints,), headers)
        except Exception as error:  # noqa: BLE001 — whatever a broker raises, it is away
            self._enqueuer = None
            lost = len(hints) + len(self._waiting)
            self._waiting.clear()
            self.dropped += lost
            self._resting_until = time.monotonic() + PAUSE
            logger.warning(
                "broker unavailable, %d hints dropped, pages are up to 3 s late: %r",
                lost,
                error,
            )


def is_stale(sent_at: object) -> bool:
    """Whether a task waited for a worker for so long that nobody needs its hints.

    Not Celery's `expires`, which goes by the clocks of two machines and would discard every hint where they differ.
    """
    return isinstance(sent_at, int | float) and clock.time() - sent_at > STALE


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
