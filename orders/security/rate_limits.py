"""How often each client may ask: counted in Valkey for all processes together, and refused with a time to come back.

Limit: windows are fixed, so twice the rate can pass around the turn of one. While Valkey is away each process counts
for itself, so nobody is kept out by that, and nobody can ask without end.
"""

import ipaddress
import logging
import math
import os
import time
from enum import StrEnum
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from orders.security.local_counters import Tally

log = logging.getLogger(__name__)

PAUSE = 5.0  # seconds in which a Valkey that did not answer is not asked again


class LimitScope(StrEnum):
    API = "api"  # for each token or user
    ANONYMOUS = "anonymous"  # for each address: no credentials, or bad ones
    HANDSHAKE = "handshake"  # for each address: WebSockets and event streams
    CALLBACK = "callback"  # for each provider and address
    LOGIN = "login"  # for each address: tries to log in
    ACCOUNT = "account"  # for each account, or browser that it is known in: tries to log in
    PAGE = "page"  # for each address: pages, for whomever


# Counted in this process at once, and with the other processes a moment later.
_LOCAL = {LimitScope.CALLBACK, LimitScope.HANDSHAKE, LimitScope.PAGE}


class TooMany(Exception):
    """Come back after `retry_after` seconds."""

    def __init__(self, scope: LimitScope, retry_after: int) -> None:
        super().__init__(f"Too many requests; retry after {retry_after} s.")
        self.scope, self.retry_after = scope, retry_after


def admit(scope: LimitScope, *who: str) -> None:
    """Count one request. Raises `TooMany`. Takes a round trip to Valkey, and never longer than its timeout.

    Callbacks, handshakes and pages take none: they are counted here at once, and with the other processes a moment
    later (`orders.security.local_counters`), so an event loop may ask.
    """
    rate = _rate(settings.ORDERCAST_LIMITS[scope])
    if scope in _LOCAL:
        name = "/".join((scope, *who, str(rate)))
        if wait := _tally(os.getpid()).count(name, rate.amount, rate.get_expiry()):
            raise TooMany(scope, math.ceil(wait))
        return
    if not _count(rate, scope, who):
        raise TooMany(scope, _seconds_left(rate, scope, who))


@lru_cache(maxsize=4_096)
def client(address: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, since one customer has all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def is_listed(address: str, networks: list[str]) -> bool:
    """Whether the address is in one of the networks; an empty list holds everybody."""
    if not networks:
        return True
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in ipaddress.ip_network(each) for each in networks)


def _count(rate: RateLimitItem, scope: LimitScope, who: tuple[str, ...]) -> bool:
    shared = _shared()
    if shared.is_asked():
        try:
            return shared.limiter.hit(rate, scope, *who)
        except redis.RedisError as error:
            shared.leave_alone()
            log.warning(
                "Valkey unavailable, %s rate limit counted by this process alone: %s", scope, error
            )
    return _own().hit(rate, scope, *who)


def _share(name: str, seconds: int, amount: int) -> int | None:
    """Add to all processes' count; what cannot be added now is kept for the next time."""
    shared = _shared()
    if not shared.is_asked():
        return None
    try:
        return shared.storage.incr(name, seconds, amount)
    except redis.RedisError as error:
        shared.leave_alone()
        log.warning("Valkey unavailable, %s counted by this process alone: %s", name, error)
        return None


def _seconds_left(rate: RateLimitItem, scope: LimitScope, who: tuple[str, ...]) -> int:
    shared = _shared()
    try:
        limiter = shared.limiter if shared.is_asked() else _own()
        # By the local clock on both sides: the library adds the key's time to live to it.
        left = limiter.get_window_stats(rate, scope, *who).reset_time - time.time()  # noqa: TID251
    except (redis.RedisError, ValueError):  # away, or somebody has written there what is no number
        left = rate.get_expiry()
    return max(1, math.ceil(left))


class _Shared:
    """The limiter in Valkey, and whether it is worth asking now."""

    def __init__(self, url: str) -> None:
        timeout: dict[str, Any] = {
            "socket_timeout": settings.VALKEY_TIMEOUT,
            "socket_connect_timeout": settings.VALKEY_TIMEOUT,
            # redis-py's own would hold up the request for seconds.
            "retry": Retry(NoBackoff(), 0),
        }
        pool = redis.ConnectionPool.from_url(url, **timeout)
        self.storage = RedisStorage(
            "redis://",
            connection_pool=pool,
            key_prefix=f"{settings.ORDERCAST_CHANNEL_PREFIX}:limit",
        )
        self.limiter = FixedWindowRateLimiter(self.storage)
        self._asked_again_at = float("-inf")

    def is_asked(self) -> bool:
        return time.monotonic() >= self._asked_again_at

    def leave_alone(self) -> None:
        self._asked_again_at = time.monotonic() + PAUSE


@lru_cache(maxsize=64)
def _rate(text: str) -> RateLimitItem:
    return parse(text)


@lru_cache(maxsize=1)
def _shared_at(url: str) -> _Shared:
    return _Shared(url)


def _shared() -> _Shared:
    return _shared_at(settings.VALKEY_URL)


@lru_cache(maxsize=1)
def _tally(_pid: int) -> Tally:
    """Of this process: a thread does not come along through a fork."""
    return Tally(_share)


@lru_cache(maxsize=1)
def _own() -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(MemoryStorage())
