"""Whether the clocks of workers and beat are right, for the staff board: each says so while its own is not.

Kept in Valkey, so it is unknown while Valkey is away. Every time that matters is PostgreSQL's (`orders.clock`); a
wrong clock is worth a look all the same, since logs, TLS and providers' signatures go by it.
"""

import socket
from contextlib import suppress
from functools import partial

import redis
from celery import signals
from django.core.cache import cache

from orders import clock
from realtime.board.components import Part

KINDS = ("worker", "beat")
KEPT_FOR = 6 * clock.WATCH_EVERY  # seconds


def listen() -> None:
    """Watch the clock in every worker and beat from its start."""
    signals.worker_init.connect(_watch_worker, dispatch_uid="workers.clock_skew")
    signals.beat_init.connect(_watch_beat, dispatch_uid="workers.clock_skew")


def _watch_worker(**_: object) -> None:
    clock.watch(partial(report, "worker"))


def _watch_beat(**_: object) -> None:
    clock.watch(partial(report, "beat"))


def report(kind: str, skew: float) -> None:
    """Note that a process of this kind has a wrong clock. One that is right again is forgotten by itself."""
    if abs(skew) > clock.TOLERATED:
        with suppress(redis.RedisError):
            cache.set(_key(kind), [round(skew, 1), socket.gethostname()], int(KEPT_FOR))


def parts() -> list[Part]:
    """Raises `redis.RedisError`."""
    found = cache.get_many([_key(kind) for kind in KINDS])
    return [_part(kind, found.get(_key(kind))) for kind in KINDS]


def _part(kind: str, noted: object) -> Part:
    match noted:
        case None:
            return Part("clock", True, name=kind)
        case [int() | float() as skew, str(host)]:
            return Part("clock", False, name=f"{kind} {host[:64]}: {skew:+.1f} s")
    return Part("clock", None, name=kind)


def _key(kind: str) -> str:
    return f"clock-skew:{kind}"
