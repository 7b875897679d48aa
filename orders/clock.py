"""The clock that all of this code asks: PostgreSQL's, as this process knows it.

What one machine writes down (a deadline, a lease, a time of issue) another compares with its own time, so clocks that
differ would expire orders early, leave payments unchecked and let revoked tokens live. `now()` is therefore the local
clock, corrected by how far it was off PostgreSQL's `clock_timestamp()` when this process last opened a connection.

Limits: right to within one round trip to PostgreSQL. A process that has never reached PostgreSQL has its local clock,
and a clock that is set meanwhile is noticed at the next measurement.
"""

import logging
import threading
import time as _local
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.signals import connection_created

logger = logging.getLogger(__name__)

MEASURE_EVERY = 5.0  # seconds at least between two measurements of one process
WATCH_EVERY = 10.0  # seconds; of a process that has nothing to ask the database for
TOLERATED = 2.0  # seconds of skew that are not worth a line in the log
REPEAT_WARNING_AFTER = 600.0  # seconds
SLOWEST = 1.0  # seconds; an answer that took longer says too little about when it was given


class _Measured:
    """What this process knows. One instance; assignments are atomic, and a measurement lost to a race does no harm."""

    offset = 0.0  # seconds that PostgreSQL's clock is ahead of ours
    at = tried_at = float("-inf")  # monotonic
    warned_at = float("-inf")  # monotonic
    is_skewed = False


_measured = _Measured()


def now() -> datetime:
    """The time, to within a round trip the same in every process of this installation."""
    _measure_at_first()
    return datetime.now(UTC) + timedelta(seconds=_measured.offset)


def time() -> float:
    """`now()` as seconds since the epoch."""
    _measure_at_first()
    return _local.time() + _measured.offset


def to_local(at: datetime) -> datetime:
    """An instant of ours as a library sees it that asks the local clock."""
    _measure_at_first()
    return at - timedelta(seconds=_measured.offset)


def of_local(at: datetime) -> datetime:
    """An instant that a library took from the local clock."""
    _measure_at_first()
    return at + timedelta(seconds=_measured.offset)


def skew() -> float:
    """The seconds that this machine's clock is ahead of PostgreSQL's; negative where it is behind."""
    return -_measured.offset


def is_skewed() -> bool:
    """Whether this machine's clock is off by more than `TOLERATED`."""
    return _measured.is_skewed


def listen() -> None:
    """Measure whenever this process opens a connection or takes one from the pool."""
    connection_created.connect(_on_connection, dispatch_uid="orders.clock")


def measure() -> None:
    """Measure now if that was not done lately. Never raises: without a database the last measurement stands."""
    if not _is_due():
        return
    is_ours = connection.connection is None
    # Any error: of the pool, the network, the server; on an event loop Django refuses.
    with suppress(Exception):
        connection.ensure_connection()
        _measure(connection.connection)
        if is_ours:
            connection.close()  # back to the pool: this thread may never ask for it again


def _measure_at_first() -> None:
    """A process that has not connected yet does so now, and asks again if it cannot, but not at every call."""
    if _measured.at == float("-inf") and _local.monotonic() - _measured.tried_at >= MEASURE_EVERY:
        _measured.tried_at = _local.monotonic()
        measure()


def watch(report: Callable[[float], object] = lambda _skew: None) -> Callable[[], None]:
    """Measure every `WATCH_EVERY` seconds, in a thread, and give each skew to `report`. Returns what ends it."""
    is_over = threading.Event()
    threading.Thread(target=_watch, args=(report, is_over), name="clock", daemon=True).start()
    return is_over.set


def _watch(report: Callable[[float], object], is_over: threading.Event) -> None:
    while not is_over.is_set():
        try:
            measure()
            report(skew())
        except Exception:
            logger.exception("reporting the clock skew failed")
        finally:
            connection.close()
        is_over.wait(WATCH_EVERY)


def _on_connection(connection: Any, **_rest: object) -> None:
    if _is_due():
        # Whoever has asked for the connection meets the error at their own statement.
        with suppress(psycopg.Error):
            _measure(connection.connection)


def _is_due() -> bool:
    return _local.monotonic() - _measured.at >= MEASURE_EVERY


def _measure(raw: "psycopg.Connection[Any]") -> None:
    # Not through Django's cursor: this is none of the statements that a caller counts or logs.
    before = _local.time()
    row = raw.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    after = _local.time()
    is_first = _measured.at == float("-inf")
    if row is None or not (is_first or 0 <= after - before <= SLOWEST):
        return
    _measured.at = _local.monotonic()
    _adopt(row[0] - after, row[0] - before)


def _adopt(least: float, most: float) -> None:
    """The true offset lies between these. One that cannot be shown to be wrong stays: time must not jitter."""
    if not least <= _measured.offset <= most:
        _measured.offset = (least + most) / 2
    was_skewed, _measured.is_skewed = _measured.is_skewed, abs(_measured.offset) > TOLERATED
    if _measured.is_skewed:
        _warn()
    elif was_skewed:
        _measured.warned_at = float("-inf")
        logger.info("this machine's clock agrees with PostgreSQL's again")


def _warn() -> None:
    if _local.monotonic() - _measured.warned_at >= REPEAT_WARNING_AFTER:
        _measured.warned_at = _local.monotonic()
        logger.warning(
            "clock skew: this machine's clock is %.1f s %s PostgreSQL's; corrected here, but check its time service",
            abs(skew()),
            "ahead of" if skew() > 0 else "behind",
        )
