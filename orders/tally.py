"""Counting without waiting: at once in this process, and a moment later with all the others.

A trip to Valkey before each callback was a tenth of its way, and a quarter of what a page costs that comes back with
thousands of others. Limit: each process counts for itself for `SHARED_AFTER` seconds, and until it has let in a tenth
of the limit: who hardly knocks is not worth telling of. So all of them together can let through a little more.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

SHARED_AFTER = 0.2  # seconds
TENTHS = 10  # what is told comes in such parts of the limit, at least

Share = Callable[[str, int, int], int | None]


@dataclass(slots=True)
class _Window:
    ends_at: float
    seconds: int
    limit: int
    total: int = 0  # all processes', as far as is known here
    untold: int = 0  # ours that the others do not know of


class Tally:
    """`share(name, seconds, amount)` adds to a count that lives so long, and gives all processes' sum, or None."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()
        self._work = threading.Event()
        threading.Thread(target=self._run, name="tally", daemon=True).start()

    def count(self, name: str, limit: int, seconds: int) -> float:
        """Count one knock. 0 if it is let in, or after how many seconds the next window begins."""
        now = time.time()
        number = int(now // seconds)
        with self._lock:
            window = self._windows.setdefault(
                f"{name}/{number}", _Window((number + 1) * seconds, seconds, limit)
            )
            if window.total >= limit:
                return window.ends_at - now
            window.total += 1
            window.untold += 1
            is_worth_telling = window.untold * TENTHS >= limit
        if is_worth_telling:
            self._work.set()
        return 0.0

    def _run(self) -> None:
        while True:
            self._work.wait()
            time.sleep(SHARED_AFTER)  # what comes meanwhile goes along
            self._work.clear()
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            now = time.time()
            self._windows = {k: w for k, w in self._windows.items() if w.ends_at > now}
            untold = [
                (name, window, window.untold)
                for name, window in self._windows.items()
                if window.untold * TENTHS >= window.limit
            ]
        for name, window, amount in untold:
            total = self._share(name, window.seconds, amount)
            if total is not None:
                with self._lock:
                    window.untold -= amount
                    window.total = total + window.untold
