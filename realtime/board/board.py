"""The staff board: how all orders stand now, what needs a person, and how the last hour went.

One look serves everybody for a second (`Board.look`), so ten people who watch cost what one does. What has changed is
rendered by the server each time, so there is one set of words; `board_stream` only says when to come for it.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orders import clock
from orders.domain.cause import Source
from orders.support import counts, hourly
from orders.support.counts import Figures
from orders.support.hourly import LastHour
from realtime.board import components
from realtime.board.components import Part
from realtime.hub import latency

FRESH = 1.0  # seconds that a look serves
PARTS_FRESH = 5.0  # the same for how the parts are: some of it is asked of Valkey


@dataclass(frozen=True)
class MinuteShown:
    """`p50` and `p95`: milliseconds until pages had it, None where nobody watched."""

    at: datetime
    callback: int
    reconciler: int
    other: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class BoardState:
    at: datetime
    figures: Figures
    closed: dict[str, int]  # orders that came to each closed state within the hour
    minutes: tuple[MinuteShown, ...]
    parts: tuple[Part, ...]

    @property
    def essence(self) -> object:
        """What is worth a word when it changes; a tick that came as it should is not."""
        parts = tuple((part.kind, part.name, part.is_well) for part in self.parts)
        return self.figures, self.closed, self.minutes, parts


class Board:
    """One process's board. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hour = LastHour()
        self._seen: BoardState | None = None
        self._seen_at = self._parts_at = float("-inf")
        self._parts: tuple[Part, ...] = ()

    def look(self) -> BoardState:
        """How it is now, or was a second ago. Raises the database's errors."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen_at > FRESH:
                self._seen = self._look()
                self._seen_at = time.monotonic()
            return self._seen

    def _look(self) -> BoardState:
        now = clock.now()
        if time.monotonic() - self._parts_at > PARTS_FRESH:
            self._parts = tuple(components.all_parts())
            self._parts_at = time.monotonic()
        minutes = self._hour.read(now)
        closed = {
            str(state): sum(minute.closed[state] for minute in minutes) for state in counts.CLOSED
        }
        return BoardState(now, counts.read(), closed, _shown(minutes), self._parts)


def _shown(minutes: Sequence[hourly.Minute]) -> tuple[MinuteShown, ...]:
    late = latency.noted.by_minute()
    shown = []
    for minute in minutes:
        p50, p95, _ = late.get(minute.at, (None, None, 0))
        callback, reconciler = minute.by[Source.CALLBACK], minute.by[Source.RECONCILER]
        other = minute.by.total() - callback - reconciler
        shown.append(MinuteShown(minute.at, callback, reconciler, other, p50, p95))
    return tuple(shown)


board = Board()  # this process's
