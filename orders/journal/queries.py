"""Every read of orders and their journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from pydantic_core import from_json, to_json

from orders.domain import events
from orders.domain.events import EventRecord
from orders.models import EPOCH, JournalEpoch, Order, OrderEvent

TAIL_LIMIT = 300  # events; a reader further behind gets a snapshot instead

_EPOCH = datetime.fromtimestamp(0, UTC)
_FACTS = ("total", "currency", "captured", "refunded", "disputed", "needs_review")

# One statement, so heads, tails and epoch are of one moment. The lateral join reads each tail by its index. What is
# asked comes as one JSON text, and times as microseconds: psycopg and Django take a list and a time apart in Python.
_STREAMS = f"""
SELECT {EPOCH}, o.ref, o.version, o.state, o.total, o.currency, o.captured,
       o.refunded, o.disputed, o.needs_review,
       e.version, e.type, e.schema, e.data, e.state, e.facts, e.source, e.actor,
       (extract(epoch FROM e.at) * 1000000)::bigint
  FROM (SELECT key AS ref, value::int AS after FROM json_each_text(%s)) AS wanted
  JOIN orders_order o ON o.ref = wanted.ref
  LEFT JOIN LATERAL (
       SELECT * FROM orders_orderevent
        WHERE order_id = o.id AND version > wanted.after AND o.version - wanted.after <= %s
        ORDER BY version
  ) e ON true
 ORDER BY o.ref, e.version
"""  # noqa: S608 — names of ours

_HEADS = (
    f"SELECT {EPOCH}, o.ref, o.version"  # noqa: S608 — names of ours
    "  FROM (SELECT 1) AS one LEFT JOIN orders_order o ON o.ref = ANY(%s)"
)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One order's stream as one query saw it: its head, the state there, and the tail that was asked for.

    `events` holds version after + 1 … version without a hole, or is empty where more than `TAIL_LIMIT` are missing
    (`is_cut`) and where `after` is not below `version`.
    """

    ref: str
    version: int
    state: str
    facts: dict[str, Any]  # total, currency, captured, refunded, disputed, needs_review
    events: tuple[EventRecord, ...]
    is_cut: bool


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Many streams read in one query, and the journal's epoch at that moment. Unknown refs are absent."""

    epoch: str
    streams: dict[str, Stream]


def epoch() -> str:
    """The word that names this life of the journal."""
    return JournalEpoch.current()


def read_streams(after: Mapping[str, int]) -> Reading:
    """Heads and tails of the streams `{ref: version that the reader holds}`, in one query."""
    # A cursor beyond what a column can hold is merely in the future.
    held = {ref: min(max(version, 0), 2_147_483_647) for ref, version in after.items()}
    with connection.cursor() as cursor:
        cursor.execute(_STREAMS, [to_json(held).decode(), TAIL_LIMIT])
        rows = cursor.fetchall()
    if not rows:
        return Reading(epoch=epoch(), streams={})
    by_ref: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        by_ref.setdefault(row[1], []).append(row)
    streams = {ref: _stream(part, held[ref]) for ref, part in by_ref.items()}
    return Reading(epoch=rows[0][0], streams=streams)


def _stream(rows: Sequence[Sequence[Any]], after: int) -> Stream:
    word, ref, version, state, *amounts = rows[0][:10]
    return Stream(
        ref=ref,
        version=version,
        state=state,
        facts=dict(zip(_FACTS, amounts, strict=True)),
        events=tuple(_record(ref, word, row[10:]) for row in rows if row[10] is not None),
        is_cut=version - after > TAIL_LIMIT,
    )


def _record(ref: str, word: str, row: Sequence[Any]) -> EventRecord:
    version, kind, schema, data, state, facts, source, actor, at = row
    return EventRecord(
        order=ref,
        epoch=word,
        version=version,
        type=kind,
        state=state,
        data=events.upcast(kind, schema, from_json(data)),
        facts=from_json(facts),
        source=source,
        actor=actor,
        at=_EPOCH + timedelta(microseconds=at),
    )


def heads(refs: Sequence[str]) -> tuple[str, dict[str, int]]:
    """The journal's epoch and the head version of each known ref, in one query: the position check."""
    with connection.cursor() as cursor:
        cursor.execute(_HEADS, [list(refs)])
        rows = cursor.fetchall()
    return rows[0][0], {ref: version for _, ref, version in rows if ref is not None}


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some events of one stream, oldest first without a hole, and the head as it was read."""

    ref: str
    epoch: str
    version: int
    events: tuple[EventRecord, ...]


def read_page(ref: str, after: int, limit: int) -> Page:
    """Up to `limit` events of the order after version `after`; the order must exist."""
    order = Order.objects.only("version").get(ref=ref)
    word = epoch()
    rows = OrderEvent.objects.filter(order=order, version__gt=after, version__lte=order.version)
    return Page(
        ref=ref,
        epoch=word,
        version=order.version,
        events=tuple(record_of(row, ref, word) for row in rows.order_by("version")[:limit]),
    )


def record_of(row: OrderEvent, ref: str, word: str) -> EventRecord:
    """The record of a journal row, its data brought to the present schema."""
    return EventRecord(
        order=ref,
        epoch=word,
        version=row.version,
        type=row.type,
        state=row.state,
        data=events.upcast(row.type, row.schema, row.data),
        facts=row.facts,
        source=row.source,
        actor=row.actor,
        at=row.at,
    )
