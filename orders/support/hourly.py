"""What the journal took in within the last hour, minute by minute, without reading the hour again each time.

Minutes that are over do not change any more, so one process reads each of them once. Limit: an event whose transaction
commits more than `SETTLED` after it was written is not counted by a process that had closed its minute.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection

from orders.support.counts import CLOSED

MINUTE = timedelta(minutes=1)
MINUTES = 60
SETTLED = timedelta(seconds=10)
# Positions are taken a little out of order, so reading on begins a little before where it ended.
OVERLAP = 10_000  # events

# Those that bring an order into a closed state; others are noted while it is there.
_CLOSING = frozenset(
    {
        "payment.captured", "order.late_payment_accepted", "order.cancelled", "order.expired", "refund.changed",
        "dispute.won", "dispute.lost",
    }
)  # fmt: skip
# The range index on `at` finds the hour at first; later the key finds what has come since.
_EVENTS = """
SELECT date_trunc('minute', at) AS minute, source, type, state, count(*), max(id)
  FROM orders_orderevent
 WHERE at >= %s AND id > %s
 GROUP BY minute, source, type, state
"""


@dataclass
class Minute:
    """`by` counts events by source, `closed` orders by the closed state that they came to."""

    at: datetime
    by: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)


class LastHour:
    """One process's memory of it. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minutes: dict[datetime, Minute] = {}
        self._last_ids: dict[datetime, int] = {}
        self._settled_until: datetime | None = None
        self._settled_id = 0

    def read(self, now: datetime) -> list[Minute]:
        """The last sixty minutes, oldest first; the last one is still under way. Raises the database's errors."""
        with self._lock:
            this = now.replace(second=0, microsecond=0)
            first = this - MINUTE * (MINUTES - 1)
            begin = max(first, self._settled_until or first)
            self._take(begin)
            self._settle((now - SETTLED).replace(second=0, microsecond=0), first)
            times = [first + MINUTE * number for number in range(MINUTES)]
            return [self._minutes.get(at) or Minute(at) for at in times]

    def _take(self, begin: datetime) -> None:
        for at in [at for at in self._minutes if at >= begin]:
            del self._minutes[at]
        with connection.cursor() as cursor:
            cursor.execute(_EVENTS, [begin, max(0, self._settled_id - OVERLAP)])
            rows = cursor.fetchall()
        for at, source, kind, state, count, last_id in rows:
            minute = self._minutes.setdefault(at, Minute(at))
            minute.by[source] += count
            if kind in _CLOSING and state in CLOSED:
                minute.closed[state] += count
            self._last_ids[at] = max(last_id, self._last_ids.get(at, 0))

    def _settle(self, until: datetime, first: datetime) -> None:
        self._settled_until = until
        settled = [last for at, last in self._last_ids.items() if at < until]
        self._settled_id = max([self._settled_id, *settled])
        self._last_ids = {at: last for at, last in self._last_ids.items() if at >= until}
        self._minutes = {at: minute for at, minute in self._minutes.items() if at >= first}
