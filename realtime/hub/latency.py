"""How late this process's pages are: from an event's own time to the moment it is handed to those who watch its order.

By PostgreSQL's clock on both sides (`orders.clock`), to within a round trip; without what the network to the browser
takes. Both ways count: an event that came by hint, and one that only the position check found. Limits: this process
alone, since it began; of many events at once a sample; an event whose order nobody watches here is not among them.
"""

import math
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from orders import clock

MINUTES = 60
PER_SECOND = 200  # samples
_AT = '"at":"'  # the last member of an event's frame (`messages.encode_event`)


class Lateness:
    """Used on the event loop, read from any thread."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, list[float]]] = deque(maxlen=MINUTES + 1)
        self._until = 0.0  # the end of this sample's second
        self._taken = 0

    def note(self, frame: str) -> None:
        """An event's frame is about to be handed to its pages. Microseconds; a fraction of one if not sampled."""
        now = clock.time()
        if now >= self._until:
            self._until, self._taken = now + 1, 0
        elif self._taken >= PER_SECOND:
            return
        self._taken += 1
        began = frame.rfind(_AT) + len(_AT)
        try:
            at = datetime.fromisoformat(frame[began : frame.index('"', began)])
        except ValueError:
            return
        self._of(int(now) // 60).append(max(0.0, (now - at.timestamp()) * 1000))

    def _of(self, minute: int) -> list[float]:
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, []))
        return self._minutes[-1][1]

    def by_minute(self) -> dict[datetime, tuple[float, float, int]]:
        """For each minute in which there was something: p50 and p95 in milliseconds, and of how many samples."""
        return {
            datetime.fromtimestamp(minute * 60, UTC): (*_percentiles(list(samples)), len(samples))
            for minute, samples in list(self._minutes)
            if samples
        }


def _percentiles(samples: Sequence[float]) -> tuple[float, float]:
    """By the nearest rank: both are values that were measured."""
    ordered = sorted(samples)
    p50, p95 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
    return round(p50, 1), round(p95, 1)


noted = Lateness()  # this process's
