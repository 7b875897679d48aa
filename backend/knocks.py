"""How many live streams each client may open: counted here, and put together with the other processes' counts later.

Thousands of pages come back at once when a proxy or a network was away, and to ask Valkey for each of them would hold
up all. Limit: each process lets in up to a tenth of the rate before it hears of the others; a client that never
knocks so often at one process is counted there alone. Windows are fixed, as in `orders.limits`.
"""

import math
import time
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from limits import RateLimitItem, parse

from orders import limits
from orders.limits import Door, TooMany

SHARES = (
    10  # times in a window's whole rate that a process puts its count together with the others'
)


class _Count:
    """One client's knocks in this window. The thread that shares them writes `known`, and then `underway`."""

    __slots__ = ("known", "new", "underway")

    def __init__(self) -> None:
        self.known = 0  # of all processes, when last heard
        self.underway = 0  # ours, being shared now
        self.new = 0  # ours, not shared yet

    @property
    def all(self) -> int:
        return self.known + self.underway + self.new


class Knocks:
    """For one thread, an event loop's: nothing here waits."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._window = -1
        self._text, self._rate = "", parse("1/second")
        self._sharer = ThreadPoolExecutor(1, thread_name_prefix="ordercast-knocks")

    def admit(self, address: str) -> None:
        """Count one knock. Raises `TooMany`."""
        rate, now = self._current_rate(), time.time()
        window = int(now // rate.get_expiry())
        if window != self._window:
            self._window, self._counts = window, {}
        who = limits.client(address)
        count = self._counts.get(who)
        if count is None:
            count = self._counts[who] = _Count()
        if count.all >= rate.amount:
            ends = (window + 1) * rate.get_expiry()
            raise TooMany(Door.HANDSHAKE, max(1, math.ceil(ends - now)))
        count.new += 1
        if count.new * SHARES >= rate.amount and not count.underway:
            count.underway, count.new = count.new, 0
            self._sharer.submit(_share, count, who, str(window))

    def _current_rate(self) -> RateLimitItem:
        text = settings.ORDERCAST_LIMITS[Door.HANDSHAKE]
        if text != self._text:
            self._text, self._rate = text, parse(text)
        return self._rate


def _share(count: _Count, who: str, window: str) -> None:
    total = limits.count(Door.HANDSHAKE, count.underway, who, window)
    count.known = count.known + count.underway if total is None else total
    count.underway = 0
