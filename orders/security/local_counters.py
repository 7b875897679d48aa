"""Counting without waiting: at once in this process, and a moment later with all the others.

A trip to Valkey before each callback was a tenth of its way, and a quarter of what a page costs that comes back with
thousands of others. Limit: each process counts for itself for `SHARED_AFTER` seconds, and until it has let in a tenth
of the limit: who hardly asks is not worth sharing. So all of them together can let through a little more.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from orders import clock

SHARED_AFTER = 0.2  # seconds
TENTHS = 10  # what is told comes in such parts of the limit, at least

Share = Callable[[str, int, int], int | None]


logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Window:
    ends_at: float
    seconds: int
    total: int = 0  # all processes', as far as is known here
    untold: int = 0  # ours that the others do not know of


class Tally:
    """`share(name, seconds, amount)` adds to a count that lives so long, and gives all processes' sum, or None."""

    def __init__(self, share: Share) -> None:
        self._share = share
        # By the length and the number of what they last, so that those which are over are let go of all at once.
        self._windows: dict[tuple[int, int], dict[str, _Window]] = {}
        self._worth_telling: dict[str, _Window] = {}
        self._lock = threading.Lock()
        self._work = threading.Event()
        threading.Thread(target=self._run, name="tally", daemon=True).start()

    def count(self, name: str, limit: int, seconds: int) -> float:
        """Count one request. 0 if it is let in, or after how many seconds the next window begins."""
        now = clock.time()
        number = int(now // seconds)
        with self._lock:
            windows = self._windows.get((seconds, number))
            if windows is None:
                windows = self._windows[seconds, number] = {}
                self._work.set()  # others may be over
            window = windows.get(name)
            if window is None:
                window = windows[name] = _Window((number + 1) * seconds, seconds)
            if window.total >= limit:
                return window.ends_at - now
            window.total += 1
            window.untold += 1
            if window.untold * TENTHS >= limit:
                self._worth_telling[f"{name}/{number}"] = window
                self._work.set()
        return 0.0

    def _run(self) -> None:
        while True:
            self._work.wait()
            time.sleep(SHARED_AFTER)  # what comes meanwhile goes along
            self._work.clear()
            try:
                self._forget(clock.time())
                self._tell()
            except Exception:
                logger.exception("sharing rate-limit counters failed")

    def _forget(self, now: float) -> None:
        with self._lock:
            over = [each for each in self._windows if (each[1] + 1) * each[0] <= now]
            windows = [self._windows.pop(each) for each in over]
        del windows  # a hundred thousand of them, at times: not while somebody waits for the lock

    def _tell(self) -> None:
        with self._lock:
            worth, self._worth_telling = self._worth_telling, {}
            untold = [(name, window, window.untold) for name, window in worth.items()]
        for name, window, amount in untold:
            total = self._share(name, window.seconds, amount)
            with self._lock:
                if total is not None:
                    window.untold -= amount
                    window.total = total + window.untold
                elif window.ends_at > clock.time():
                    self._worth_telling[name] = window  # the next time
