"""`BENCH=journal`: what an event costs through the journal, beside a bare UPDATE and INSERT through the same driver.

Each event is a transaction of its own, committed to the disk, one after the other from one connection. The kinds take
turns every few events, so that whatever else the machine does meets all of them alike. `append` locks the order and
records one event, as the smallest command does; `door` lets a provider's answer in by `apply_snapshot`: payment,
decision, event, timetable. Hints to the pages are off here, since the bare one sends none.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.utils import timezone

from orders.commands import snapshots
from orders.domain import events
from orders.domain.cause import Cause, Source
from orders.models import Order, OrderEvent, Payment
from orders.payments.base import PaymentStatus, Snapshot
from orders.signals import order_event_recorded
from tests.bench import journal as rows
from tests.bench.machine import given

Say = Callable[[str], None]
CAUSE = Cause(Source.CALLBACK, "house")
COUNT = int(given("BENCH_EVENTS", 600))  # of each kind in each round
TURN = 25  # events of one kind, until it is the next one's turn
ROUNDS = int(given("BENCH_ROUNDS", 5))

_UPDATE = (
    "UPDATE orders_order SET state = %s, version = version + 1, captured = %s, changed_at = %s"
    " WHERE id = %s RETURNING version"
)
_INSERT = (
    "INSERT INTO orders_orderevent (order_id, version, type, schema, data, state, facts, source, actor, at)"
    " VALUES (%s, %s, %s, 1, %s, %s, %s, 'callback', 'house', %s) RETURNING id"
)


def run(say: Say) -> str:
    """All rounds; returns the BENCH line."""
    measured: dict[str, list[float]] = {"bare": [], "append": [], "door": []}
    kinds: dict[str, Callable[[list[str]], None]] = {
        "bare": _bare,
        "append": _append,
        "door": _door,
    }
    with _without_hints():
        for number in range(1, ROUNDS + 1):
            spent = dict.fromkeys(kinds, 0.0)
            for _ in range(0, COUNT, TURN):
                for name, work in kinds.items():
                    refs = rows.make_orders(TURN, with_payments=True)
                    began = time.perf_counter()
                    work(refs)
                    spent[name] += time.perf_counter() - began
            for name, seconds in spent.items():
                measured[name].append(COUNT / seconds)
                say(
                    f"journal round {number} of {ROUNDS}  {name:<6}  events_per_s {COUNT / seconds:.0f}"
                )
    medians = {name: statistics.median(rates) for name, rates in measured.items()}
    line = {
        "bench": "journal",
        "key": "ratio_bare",
        "ratio_bare": round(medians["append"] / medians["bare"], 2),
        "ratio_door": round(medians["door"] / medians["bare"], 2),
        **{f"{name}_per_s": round(rate) for name, rate in medians.items()},
        "bytes_per_event": _bytes_per_event(),
    }
    return "BENCH " + json.dumps(line)


def _bare(refs: list[str]) -> None:
    ids = dict(Order.objects.filter(ref__in=refs).values_list("ref", "pk"))
    event = events.PaymentCaptured(payment=refs[0], amount=rows.TOTAL, captured=rows.TOTAL)
    data, facts = json.dumps(events.encode(event)), json.dumps(rows.FACTS)
    for ref in refs:
        now = timezone.now()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_UPDATE, ["paid", rows.TOTAL, now, ids[ref]])
            version = cursor.fetchone()[0]
            cursor.execute(_INSERT, [ids[ref], version, event.type, data, "paid", facts, now])


def _append(refs: list[str]) -> None:
    for ref in refs:
        with transaction.atomic():
            order = Order.objects.locked(ref)
            event = events.PaymentCaptured(payment=ref, amount=rows.TOTAL, captured=rows.TOTAL)
            order.make("pay", event, CAUSE)


def _door(refs: list[str]) -> None:
    ids = dict(Payment.objects.filter(ref__in=refs).values_list("ref", "pk"))
    for ref in refs:
        snapshots.apply_snapshot(ids[ref], _captured(ref), CAUSE)


def _captured(ref: str) -> Snapshot:
    return Snapshot(
        merchant_ref=ref,
        provider_ref=f"pay_{ref}",
        status=PaymentStatus.CAPTURED,
        amount=rows.TOTAL,
        currency=rows.CURRENCY,
        captured=rows.TOTAL,
    )


def _bytes_per_event() -> int:
    """On the disk, indexes included, after the table was tidied."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM FULL orders_orderevent")
        cursor.execute("SELECT pg_total_relation_size('orders_orderevent')")
        size = int(cursor.fetchone()[0])
    return round(size / OrderEvent.objects.count())


@contextmanager
def _without_hints() -> Iterator[None]:
    kept, order_event_recorded.receivers = order_event_recorded.receivers, []
    order_event_recorded.sender_receivers_cache.clear()
    try:
        yield
    finally:
        order_event_recorded.receivers = kept
        order_event_recorded.sender_receivers_cache.clear()
