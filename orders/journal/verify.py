"""Proof that history and rows agree, and the repair of rows from history. Both take constant memory.

Each chunk is read in one repeatable-read transaction, so orders may move meanwhile.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from django.db import connection, transaction

from orders.domain import events
from orders.domain.errors import OrderError
from orders.domain.projection import Facts, fold
from orders.models import Order, OrderEvent

CHUNK = 500  # orders read at once


@dataclass(frozen=True)
class Difference:
    """Where an order's row or stream is not what folding its events gives."""

    ref: str
    what: str

    def __str__(self) -> str:
        return f"order {self.ref}: {self.what}"


Progress = Callable[[int], object]


def differences(progress: Progress) -> Iterator[Difference]:
    """Fold every stream and compare it with its row. `progress` is called with the number of orders done."""
    after = 0
    while True:
        with _one_moment():
            orders = list(Order.objects.filter(pk__gt=after).order_by("pk")[:CHUNK])
            streams = _streams(orders)
            found = [d for order in orders for d in _compare(order, streams.get(order.pk, []))]
        yield from found
        if not orders:
            return
        after = orders[-1].pk
        progress(len(orders))


def rebuild(progress: Progress) -> Iterator[Difference]:
    """Write every row anew from its events, and tell which of them changed."""
    after = 0
    while True:
        with transaction.atomic():
            orders = list(
                Order.objects.filter(pk__gt=after).order_by("pk").select_for_update()[:CHUNK]
            )
            streams = _streams(orders)
            changed = [d for order in orders for d in _repair(order, streams.get(order.pk, []))]
        yield from changed
        if not orders:
            return
        after = orders[-1].pk
        progress(len(orders))


@contextmanager
def _one_moment() -> Iterator[None]:
    with transaction.atomic():
        if len(connection.savepoint_ids) == 0:
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _streams(orders: list[Order]) -> dict[int, list[OrderEvent]]:
    rows = OrderEvent.objects.filter(order__in=orders).order_by("order_id", "version")
    return {pk: list(group) for pk, group in groupby(rows, key=lambda row: row.order_id)}


def _compare(order: Order, rows: list[OrderEvent]) -> Iterator[Difference]:
    facts = Facts()
    for number, row in enumerate(rows, start=1):
        if row.version != number:
            yield Difference(order.ref, f"version {number} is missing, {row.version} follows")
            return
        try:
            facts = fold(facts, events.decode(row.type, row.schema, row.data))
        except OrderError as error:
            yield Difference(order.ref, f"version {number}: {error}")
            return
        if row.state != facts.state or row.facts != facts.public():
            yield Difference(
                order.ref,
                f"version {number} says {row.state} {row.facts}, the fold {facts.state} {facts.public()}",
            )
    if order.version != len(rows):
        yield Difference(
            order.ref, f"the row is at version {order.version}, the stream at {len(rows)}"
        )
    for name, folded in facts.row().items():
        held = getattr(order, name)
        if held != folded:
            yield Difference(order.ref, f"{name} is {held!r} in the row, {folded!r} by its events")


def _repair(order: Order, rows: list[OrderEvent]) -> Iterator[Difference]:
    wrong = list(_compare(order, rows))
    if not wrong or not rows:
        yield from wrong
        return
    facts = Facts()
    for row in rows:
        facts = fold(facts, events.decode(row.type, row.schema, row.data))
    # Around django-fsm's protection on purpose: this is not a move, it is what history says.
    Order.objects.filter(pk=order.pk).update(
        **facts.row(), version=rows[-1].version, changed_at=rows[-1].at
    )
    yield from wrong
