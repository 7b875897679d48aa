"""A real journal behind our frames: rows in PostgreSQL, in bulk, with versions that have no holes.

Limit: the rows are written by SQL, not through the door, which makes a few hundred a second; what they say is what the
hub would read if it had to.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
from psycopg.types.json import Jsonb

from orders.domain import events
from orders.domain.events import EventRecord
from orders.models import Order, OrderEvent, Payment, new_ref

AT = datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC)
TOTAL, CURRENCY = 89_900, "EUR"
FACTS = {
    "total": TOTAL, "currency": CURRENCY, "captured": 0, "refunded": 0, "disputed": 0, "needs_review": False,
}  # fmt: skip
STATE = "processing"
EVENT = events.PaymentProcessing(payment="0f9d1c36a6b94a5b8f5f6d1c2e3b4a59")
_ADVANCE = """
WITH moved AS (UPDATE orders_order SET version = version + %(by)s WHERE ref = ANY(%(refs)s) RETURNING id, version)
INSERT INTO orders_orderevent (order_id, version, type, schema, data, state, facts, source, actor, at)
SELECT id, version - %(by)s + step, %(type)s, 1, %(data)s, %(state)s, %(facts)s, 'callback', 'house', %(at)s
  FROM moved, generate_series(1, %(by)s) AS step
"""


class Journal:
    """Writes on a connection of its own. Nothing waits for the disk: the load shares its core with PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("SET synchronous_commit = off")

    def advance(self, refs: Sequence[str], by: int = 1) -> None:
        """Append `by` events to each of the streams, in one commit."""
        words = {
            "by": by,
            "refs": list(refs),
            "type": EVENT.type,
            "data": Jsonb(events.encode(EVENT)),
            "state": STATE,
            "facts": Jsonb(FACTS),
            "at": AT,
        }
        self._connection.execute(_ADVANCE, words)

    def close(self) -> None:
        self._connection.close()


def record(ref: str, epoch: str, version: int) -> EventRecord:
    """What a reader gets of such a row."""
    return EventRecord(
        order=ref,
        epoch=epoch,
        version=version,
        type=EVENT.type,
        state=STATE,
        data=events.encode(EVENT),
        facts=FACTS,
        source="callback",
        actor="house",
        at=AT,
    )


def make_orders(count: int, *, with_payments: bool = False) -> list[str]:
    """Orders that wait for their payment, at version 2. Returns their refs."""
    orders = Order.objects.bulk_create(
        Order(
            ref=new_ref(),
            state="awaiting_payment",
            version=2,
            total=TOTAL,
            currency=CURRENCY,
        )
        for _ in range(count)
    )
    started = events.PaymentStarted(payment=new_ref(), provider="house", amount=TOTAL)
    created = events.OrderCreated(total=TOTAL, currency=CURRENCY)
    OrderEvent.objects.bulk_create(
        OrderEvent(
            order=order,
            version=version,
            type=event.type,
            data=events.encode(event),
            state=state,
            facts=FACTS,
            source="system",
            at=AT,
        )
        for order in orders
        for version, event, state in ((1, created, "created"), (2, started, "awaiting_payment"))
    )
    if with_payments:
        Payment.objects.bulk_create(
            Payment(
                order=order,
                ref=order.ref,
                provider="house",
                provider_ref=f"pay_{order.ref}",
                amount=TOTAL,
                currency=CURRENCY,
                status="pending",
                profile="waiting",
                checkout_url="http://127.0.0.1/checkout",
            )
            for order in orders
        )
    return [order.ref for order in orders]
