"""Figures about all orders, for a board that asks again each second: no more orders make any of it dearer.

Open states and what needs attention are counted by indexes that hold just those, to `COUNTED` at most. Closed states
grow for ever: they are counted to `EXACT`, and above it PostgreSQL's own estimate is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from orders import clock
from orders.domain.states import State
from orders.models import Order

COUNTED = 10_000  # above it: "10,000 and more"
EXACT = 1_000  # orders in a closed state: counted to here, estimated above
OVERDUE = timedelta(minutes=1)  # past its time: no tick has taken it up
NEWEST = 6  # flagged orders that are named

OPEN = (
    State.CREATED, State.AWAITING_PAYMENT, State.PROCESSING, State.AUTHORISED, State.FAILED, State.DISPUTED,
)  # fmt: skip
CLOSED = (
    State.PAID, State.PARTIALLY_REFUNDED, State.REFUNDED, State.CHARGED_BACK, State.CANCELLED, State.EXPIRED,
)  # fmt: skip


@dataclass(frozen=True)
class Count:
    """`is_more`: there are at least so many."""

    number: int
    is_more: bool = False


@dataclass(frozen=True)
class Total:
    """All orders of a closed state."""

    number: int
    is_estimate: bool = False

    def at_least(self, number: int) -> "Total":
        """An estimate is as old as the table's last analysis: what was counted since may be more."""
        return Total(max(self.number, number), True) if self.is_estimate else self


@dataclass(frozen=True, kw_only=True)
class Flagged:
    pk: int
    ref: str
    state: str
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Figures:
    open: Mapping[str, Count]
    closed: Mapping[str, Total]
    flagged: Count
    overdue: Count
    unmatched: Count
    given_up: Count
    newest: tuple[Flagged, ...]


def read() -> Figures:
    """Five statements, some milliseconds. Raises the database's errors."""
    flagged, overdue, unmatched, given_up = _attention(clock.now() - OVERDUE)
    return Figures(
        open=_open(),
        closed=_closed(),
        flagged=flagged,
        overdue=overdue,
        unmatched=unmatched,
        given_up=given_up,
        newest=_newest_flagged(),
    )


_BY_STATE = """
SELECT s, (SELECT count(*) FROM (SELECT 1 FROM orders_order WHERE state = s LIMIT %s) AS few)
  FROM unnest(%s::text[]) AS s
"""
_ATTENTION = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM orders_order WHERE needs_review LIMIT %(most)s) AS few),
       (SELECT count(*) FROM (SELECT 1 FROM orders_payment WHERE next_check_at < %(late)s LIMIT %(most)s) AS few),
       (SELECT count(*) FROM (
            SELECT 1 FROM orders_callbackreceipt WHERE next_try_at IS NOT NULL LIMIT %(most)s) AS few),
       (SELECT count(*) FROM (SELECT 1 FROM orders_callbackreceipt WHERE needs_review LIMIT %(most)s) AS few)
"""
_ESTIMATES = """
SELECT common.state, round(common.share * of_table.reltuples)::bigint
  FROM pg_stats AS stats
  JOIN pg_class AS of_table ON of_table.oid = to_regclass('orders_order')
  CROSS JOIN LATERAL unnest(stats.most_common_vals::text::text[], stats.most_common_freqs) AS common(state, share)
 WHERE stats.tablename = 'orders_order' AND stats.attname = 'state'
   AND stats.schemaname = of_table.relnamespace::regnamespace::text
   AND of_table.reltuples > 0
"""


def _open() -> dict[str, Count]:
    rows = _rows(_BY_STATE, [COUNTED + 1, [str(state) for state in OPEN]])
    return {state: _count(number) for state, number in rows}


def _closed() -> dict[str, Total]:
    rows = _rows(_BY_STATE, [EXACT + 1, [str(state) for state in CLOSED]])
    estimates = _estimates() if any(number > EXACT for _, number in rows) else {}
    return {
        state: Total(number)
        if number <= EXACT
        else Total(estimates.get(state, 0), True).at_least(number)
        for state, number in rows
    }


def _attention(late: datetime) -> list[Count]:
    return [_count(n) for n in _rows(_ATTENTION, {"most": COUNTED + 1, "late": late})[0]]


def _estimates() -> dict[str, int]:
    return dict(_rows(_ESTIMATES))


def _newest_flagged() -> tuple[Flagged, ...]:
    orders = Order.objects.filter(needs_review=True).order_by("-pk")
    rows = orders.values_list("pk", "ref", "state", "flags")[:NEWEST]
    return tuple(Flagged(pk=pk, ref=ref, state=s, flags=tuple(f)) for pk, ref, s, f in rows)


def _count(number: int) -> Count:
    return Count(min(number, COUNTED), number > COUNTED)


def _rows(statement: str, parameters: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
