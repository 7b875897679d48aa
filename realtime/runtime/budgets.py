"""How much work each client may order in this process, over all its connections: a token bucket for each name."""

import time
from collections.abc import Collection, Mapping

BURST = 20.0  # seconds of the rate that may be spent at once
SWEEP = 10.0  # seconds between two looks for buckets that are full again


class Budgets:
    """`rates` by the kind of a name, which stands before its colon: units a second."""

    def __init__(self, rates: Mapping[str, float]) -> None:
        self._rates = rates
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was
        self._swept_at = float("-inf")

    def spend(self, names: Collection[str], units: float, now: float | None = None) -> str | None:
        """Charge all of them. The first name that has not so much left, if there is one; then nobody is charged."""
        now = time.monotonic() if now is None else now
        left = {name: self._left(name, now) - units for name in names}
        for name, amount in left.items():
            if amount < 0:
                return name
        for name, amount in left.items():
            self._buckets[name] = amount, now
        if now - self._swept_at > SWEEP:
            self._sweep(now)
        return None

    def _left(self, name: str, now: float) -> float:
        rate = self._rates[name.partition(":")[0]]
        amount, at = self._buckets.get(name, (BURST * rate, now))
        return min(BURST * rate, amount + (now - at) * rate)

    def _sweep(self, now: float) -> None:
        """A bucket that is full is as good as none."""
        self._swept_at = now
        full = [
            name
            for name in self._buckets
            if self._left(name, now) >= BURST * self._rates[name.partition(":")[0]]
        ]
        for name in full:
            del self._buckets[name]
