"""Which errors mean that the database cannot serve now, so that asking again later is right. Decided here alone.

PostgreSQL's classes, as psycopg and Django name them: connection failures (08xxx), shutdown and start (57P0x), no
resources (53xxx), a lock or a statement that took too long (55P03, 57014), deadlocks and serialization failures (40P01,
40001), a pool that has no connection to give, and a server that takes no writes (25006). Everything else is a defect.
"""

from enum import StrEnum

import psycopg
from django.db import InterfaceError, OperationalError

# psycopg's own too: what a pool raises where Django does not translate it.
UNAVAILABLE = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
READ_ONLY = "25006"  # read_only_sql_transaction: to Django an InternalError, which means a defect
# psycopg's InternalError as well: an idle transaction that PostgreSQL has ended.
_TIMED_OUT = "25P03"
TRANSLATED = frozenset({READ_ONLY, _TIMED_OUT})
# Whoever is connected to this server has to connect anew.
_GONE = ("08", "57P01", "57P02", "57P03", READ_ONLY)
_BUSY = ("40001", "40P01", "55P03", "57014", "53")


class ReadOnly(OperationalError):
    """The server takes no writes: a standby, or a primary that was demoted."""


class Busy(OperationalError):
    """So many wait for the same row already that one more would take connections from everybody else."""


class PoolExhausted(OperationalError):
    """All connections of this process are in use, and none became free in time."""


class Reason(StrEnum):
    """Why the database cannot serve, as clients are told: the `code` of a problem."""

    AWAY = "database_away"
    READ_ONLY = "database_read_only"
    BUSY = "database_busy"

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Reason.AWAY: "The database is unavailable and nothing was changed; retry in a moment.",
    Reason.READ_ONLY: "The database is read-only and nothing was changed; retry in a moment.",
    Reason.BUSY: "The database or this order is too busy and nothing was changed; retry in a moment.",
}
RETRY_AFTER = 2  # seconds, for clients that ask when to come back


def reason(error: BaseException) -> Reason:
    """Why, of an error of `UNAVAILABLE`."""
    if isinstance(error, ReadOnly):
        return Reason.READ_ONLY
    if isinstance(error, Busy | PoolExhausted) or sqlstate(error).startswith(_BUSY):
        return Reason.BUSY
    return Reason.AWAY


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's five characters for it; empty where the server said nothing, or the error came from elsewhere."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return (cause.sqlstate or "") if isinstance(cause, psycopg.Error) else ""


def has_gone(error: psycopg.Error) -> bool:
    """Whether the server behind this connection is gone for good, and with it all that are connected to it."""
    return (error.sqlstate or "").startswith(_GONE)
