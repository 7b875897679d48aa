"""The rows as the state machine reads, ages and forgets them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from orders.models import CallbackReceipt, Order, OrderEvent, Payment
from tests.prove import truth


def histories(refs: list[str]) -> dict[str, list[truth.Seen]]:
    rows = OrderEvent.objects.filter(order__ref__in=refs).order_by("order_id", "version")
    found: dict[str, list[truth.Seen]] = {}
    for row in rows.select_related("order"):
        found.setdefault(row.order.ref, []).append(
            truth.Seen(
                version=row.version,
                type=row.type,
                state=row.state,
                source=row.source,
                captured=row.facts["captured"],
                refunded=row.facts["refunded"],
                reason=row.data["reason"] if row.type == "order.flagged" else "",
            )
        )
    return found


def told(order: Order) -> list[str]:
    """The order's history in lines, for whoever reads a failure."""
    rows = order.events.order_by("version")
    return [f"{r.version} {r.type} → {r.state} ({r.source}) {r.data}" for r in rows]


@contextmanager
def unprotected() -> Iterator[Any]:
    """As a replica, PostgreSQL lets the past be moved and removed: what no code of ours can."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor


def advance(delta: timedelta) -> None:
    """Let time pass: everything that was or will be moves into the past by that much."""
    by = {"by": delta}
    with unprotected() as cursor:
        cursor.execute(
            "UPDATE orders_payment SET next_check_at = next_check_at - %(by)s,"
            " last_checked_at = last_checked_at - %(by)s, changed_at = changed_at - %(by)s",
            by,
        )
        cursor.execute("UPDATE orders_callbackreceipt SET next_try_at = next_try_at - %(by)s", by)
        cursor.execute("UPDATE orders_order SET expires_at = expires_at - %(by)s", by)
        cursor.execute(
            "UPDATE orders_orderevent SET data = jsonb_set(data, '{expires_at}', to_jsonb(o.expires_at))"
            "  FROM orders_order o WHERE o.id = order_id AND type = 'order.created'"
        )


def everything_is_due() -> None:
    now = timezone.now() - timedelta(seconds=1)
    Payment.objects.filter(next_check_at__gt=now).update(next_check_at=now)
    CallbackReceipt.objects.filter(next_try_at__gt=now).update(next_try_at=now)


TABLES = ("paymentcheck", "callbackreceipt", "refund", "orderevent", "payment", "order")


def forget() -> None:
    with unprotected() as cursor:
        cursor.execute("; ".join(f"DELETE FROM orders_{table}" for table in TABLES))  # noqa: S608 — our own names
