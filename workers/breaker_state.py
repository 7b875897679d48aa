"""Where the circuit breaker of a provider is kept: one hash in Valkey, shared by all workers.

Whoever can write to Valkey can have written anything there. So what is malformed counts as a closed breaker, and what
is written says nothing for longer than `KEPT_FOR`. Raises `redis.RedisError`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, CircuitBreakerStorage

from orders import clock

KEPT_FOR = timedelta(days=1)
AHEAD = timedelta(
    seconds=5
)  # what two processes can differ about the time, right after a clock was set
MOST = 1_000_000  # failures; more is no count
_STATES = frozenset({STATE_CLOSED, STATE_OPEN, STATE_HALF_OPEN})


class BreakerState(CircuitBreakerStorage):
    """Times are PostgreSQL's in Valkey, and the local clock's for pybreaker, which asks that one."""

    def __init__(self, valkey: "redis.Redis", key: str) -> None:
        super().__init__("valkey")
        self._valkey: Any = valkey  # its types say that every answer may be awaitable
        self._key = key

    @property
    def state(self) -> str:
        found = self._text("state")
        return found if found in _STATES else STATE_CLOSED

    @state.setter
    def state(self, state: str) -> None:
        self._write("state", state)

    @property
    def counter(self) -> int:
        return self._number("failures")

    def increment_counter(self) -> None:
        self._increment("failures")

    def reset_counter(self) -> None:
        self._write("failures", 0)

    @property
    def success_counter(self) -> int:
        return self._number("successes")

    def increment_success_counter(self) -> None:
        self._increment("successes")

    def reset_success_counter(self) -> None:
        self._write("successes", 0)

    @property
    def opened_at(self) -> datetime | None:
        seconds = self._number("opened_at", clock.time() + AHEAD.total_seconds())
        return clock.to_local(datetime.fromtimestamp(seconds, UTC)) if seconds else None

    @opened_at.setter
    def opened_at(self, at: datetime) -> None:
        self._write("opened_at", int(clock.of_local(at).timestamp()))

    def _number(self, field: str, most: float = MOST) -> int:
        found = self._text(field)
        number = int(found) if found.isdecimal() and len(found) < 12 else 0
        return number if number <= most else 0

    def _text(self, field: str) -> str:
        try:
            found: bytes | None = self._valkey.hget(self._key, field)
        except redis.ResponseError as error:
            self._forget_another_kind(error)
            return ""
        return (found or b"").decode("ascii", "replace")

    def _write(self, field: str, value: str | int) -> None:
        try:
            self._valkey.hset(self._key, field, value)
        except redis.ResponseError as error:
            self._forget_another_kind(error)
            self._valkey.hset(self._key, field, value)
        self._valkey.expire(self._key, KEPT_FOR)

    def _increment(self, field: str) -> None:
        if self._number(field):  # and not, for example, text
            self._valkey.hincrby(self._key, field, 1)
        else:
            self._write(field, 1)

    def _forget_another_kind(self, error: "redis.ResponseError") -> None:
        """The key holds something else than a hash."""
        if not str(error).startswith("WRONGTYPE"):
            raise error
        self._valkey.delete(self._key)
