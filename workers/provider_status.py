"""The workers' part of the staff board: the reconciler's last tick, open breakers, clocks.

Kept in Valkey, so it is unknown while Valkey is away, and costs nothing that matters when it is lost.
"""

from contextlib import suppress
from datetime import UTC, datetime

import redis
from django.conf import settings
from django.core.cache import cache

from orders import clock
from orders.payments import registry
from realtime.board.components import Part
from workers import clock_skew
from workers.guard import Guard
from workers.reconciler import LONGEST_TICK, Tick

AHEAD = 5.0  # seconds that two processes can differ about the time, right after a clock was set
_KEY = "last-tick"


def note_tick(_tick: Tick) -> None:
    """A tick has ended: beat, the broker and a worker were there to make it."""
    with suppress(redis.RedisError):
        cache.set(_KEY, clock.time(), None)


def parts() -> list[Part]:
    """Never raises for a Valkey that is away."""
    try:
        return [_ticks(), *(_provider(name) for name in registry.names()), *clock_skew.parts()]
    except redis.RedisError:
        return [Part("tick", None)]


def _ticks() -> Part:
    at = cache.get(_KEY)
    if not isinstance(at, float) or not 0 <= at <= clock.time() + AHEAD:
        return Part("tick", None)
    late = 3 * settings.ORDERCAST_TICK_SECONDS + LONGEST_TICK.total_seconds()
    return Part("tick", clock.time() - at < late, at=datetime.fromtimestamp(at, UTC))


def _provider(name: str) -> Part:
    return Part("provider", not Guard(name).is_open(), name=name)
