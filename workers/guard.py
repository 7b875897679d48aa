"""How much a provider may be asked now: a rate budget and a circuit breaker, both shared between workers in Valkey.

Limit: without Valkey each worker keeps to the budget for itself, and no breaker stands; nothing waits for Valkey longer
than its timeout.
"""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import redis
from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from pybreaker import STATE_CLOSED, CircuitBreaker, CircuitBreakerError

from orders import clock
from workers.breaker_state import BreakerState

log = logging.getLogger(__name__)

FAILURES = 5  # in a row, that open the breaker
PAUSE = timedelta(
    seconds=30
)  # how long it stays open, before single requests try the provider again
SECOND = 1.0  # the budget's window
OUTAGES = frozenset({"unavailable", "rate_limited"})


class _Outage(Exception):
    """What the breaker counts."""


@dataclass(frozen=True)
class Allowance:
    """`wait`: the seconds until the budget gives more; None where waiting is no use, since the breaker is open."""

    questions: int
    wait: float | None


class Guard:
    """One provider's budget and breaker. Safe from any thread."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self._rate = RateLimitItemPerSecond(settings.ORDERCAST_PROVIDER_RATE)
        self._pause = PAUSE * settings.ORDERCAST_CHECK_TIME_SCALE

    def allowance(self, wanted: int) -> Allowance:
        """How many of the wanted questions may be put now; they are taken off this second's budget."""
        try:
            return self._take(_shared_limiter(), self._let_through(wanted))
        except (redis.RedisError, ValueError) as error:  # away, or what stands there is no number
            log.warning(
                "Valkey unavailable, rate limit of %s kept by this worker alone: %s",
                self.provider,
                error,
            )
            return self._take(_own_limiter(), wanted)

    def is_open(self) -> bool:
        """Whether the breaker is open: the provider has failed too often. Raises `redis.RedisError`."""
        return bool(self._storage().state != STATE_CLOSED)

    def report(self, found: str) -> None:
        """Count what a request to the provider found."""
        with suppress(_Outage, CircuitBreakerError, redis.RedisError):
            breaker = CircuitBreaker(
                fail_max=FAILURES,
                reset_timeout=self._pause.total_seconds(),
                state_storage=self._storage(),
            )
            breaker.call(_raise_outage, found)

    def _let_through(self, wanted: int) -> int:
        """None while the breaker is open, then one at a time until one is answered."""
        storage = self._storage()
        if storage.state == STATE_CLOSED:
            return wanted
        opened_at = storage.opened_at
        is_over = opened_at is None or clock.now() >= clock.of_local(opened_at) + self._pause
        return min(wanted, 1) if is_over else 0

    def _storage(self) -> BreakerState:
        return BreakerState(
            _valkey(), f"{settings.ORDERCAST_CHANNEL_PREFIX}:breaker:{self.provider}"
        )

    def _take(self, limiter: FixedWindowRateLimiter, wanted: int) -> Allowance:
        if wanted <= 0:
            return Allowance(0, None)
        window = limiter.get_window_stats(self._rate, self.provider)
        taken = min(wanted, window.remaining)
        if taken <= 0 or not limiter.hit(self._rate, self.provider, cost=taken):
            taken = 0
        # By the local clock on both sides: the library adds the key's time to live to it.
        wait = window.reset_time - time.time()  # noqa: TID251
        return Allowance(taken, min(max(0.05, wait), SECOND))


def _raise_outage(found: str) -> None:
    if found in OUTAGES:
        raise _Outage(found)


@lru_cache(maxsize=1)
def _valkey() -> "redis.Redis":
    timeout = settings.VALKEY_TIMEOUT
    return redis.Redis.from_url(
        settings.VALKEY_URL, socket_timeout=timeout, socket_connect_timeout=timeout
    )


@lru_cache(maxsize=1)
def _shared_limiter() -> FixedWindowRateLimiter:
    pool = _valkey().connection_pool
    return FixedWindowRateLimiter(
        RedisStorage(
            "redis://",
            connection_pool=pool,
            key_prefix=f"{settings.ORDERCAST_CHANNEL_PREFIX}:budget",
        )
    )


@lru_cache(maxsize=1)
def _own_limiter() -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(MemoryStorage())
