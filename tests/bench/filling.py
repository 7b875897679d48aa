"""A million orders and what stands behind them, written by SQL: the door makes a few hundred a second.

Versions have no holes and rows agree as far as lists and pages read them; the journal is not one that `verify_orders`
would accept.
"""

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import NOT_PROVIDED, Model

from orders.models import (
    AuditEntry,
    CallbackReceipt,
    Order,
    OrderEvent,
    Payment,
    PaymentCheck,
)

# Nine in ten are closed. What is rare is among the oldest.
_STATE = """
CASE WHEN n %% 10 > 0 THEN CASE WHEN n < 2000 AND n %% 100 = 1 THEN 'charged_back' WHEN n %% 40 = 3 THEN 'refunded'
     WHEN n %% 40 = 5 THEN 'cancelled' WHEN n %% 40 = 6 THEN 'expired' WHEN n %% 400 = 7 THEN 'partially_refunded'
     ELSE 'paid' END
     WHEN n %% 100 = 0 THEN 'created' WHEN n %% 100 = 10 THEN 'failed' WHEN n %% 100 = 20 THEN 'processing'
     WHEN n %% 1000 = 30 THEN 'authorised' WHEN n %% 10000 = 40 THEN 'disputed' ELSE 'awaiting_payment' END
"""
# The newest was made now, the others a third of a second apart: an hour holds some ten thousand.
_AT = "now() - interval '0.36 s' * (%(most)s - n)"


def fill(count: int) -> dict[str, int]:
    """Rows of every table that the admin lists; returns how many."""
    buyer = User.objects.create_user("bench-buyer")
    most = {"most": count}
    at = _AT % most
    numbers = f"generate_series(1, {count}) AS n"
    flags = "n %% 2000 = 7 AND n < 20000"
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    _insert(
        Order(total=1_000, currency="EUR", version=2),
        {
            "ref": "md5('order' || n)",
            "state": _STATE,
            "created_at": at,
            "changed_at": at,
            "customer_id": f"CASE WHEN n %% 50000 = 1 THEN {buyer.pk} END",
            "idempotency_scope": "'api:bench'",
            "idempotency_key": "'key-' || n",
            "needs_review": flags,
            "flags": f"CASE WHEN {flags} THEN '[\"mismatch\"]'::jsonb ELSE '[]'::jsonb END",
            "expires_at": "now() + interval '1 day'",
        },
        numbers,
    )
    orders = (
        "(SELECT *, row_number() OVER (ORDER BY id) AS n FROM orders_order "
        "WHERE idempotency_scope = 'api:bench') AS o"
    )
    is_open = "o.state IN ('created', 'awaiting_payment', 'processing', 'authorised')"
    _insert(
        Payment(provider="house", amount=1_000, currency="EUR", profile="waiting"),
        {
            "order_id": "o.id",
            "ref": "md5('payment' || o.n)",
            "provider_ref": "'pay_' || o.n",
            "status": f"CASE WHEN {is_open} THEN 'pending' ELSE 'captured' END",
            "next_check_at": f"CASE WHEN o.n %% 30000 = 100 THEN now() - interval '1 hour' WHEN {is_open} "
            "THEN now() + interval '3 hours' END",
            "last_checked_at": "now()",
            "created_at": "o.created_at",
        },
        orders,
    )
    payments = (
        "(SELECT p.id, p.ref, row_number() OVER (ORDER BY p.id) AS n, p.created_at FROM orders_payment p "
        "WHERE p.provider_ref LIKE 'pay_%%') AS p"
    )
    for version, kind in ((1, "order.created"), (2, "payment.captured")):
        _insert(
            OrderEvent(version=version, type=kind, data={"amount": 1_000}, facts={"total": 1_000}),
            {
                "order_id": "o.id",
                "state": "'created'" if version == 1 else "o.state",
                "source": "CASE WHEN o.n %% 7 = 0 THEN 'reconciler' ELSE 'callback' END",
                "at": "o.created_at",
            },
            orders,
        )
    _insert(
        CallbackReceipt(provider="house", kind="payment.captured", body="{}"),
        {
            "event_id": "'evt_' || p.ref",
            "payment_id": "CASE WHEN p.n > 60 THEN p.id END",
            "outcome": "CASE WHEN p.n > 60 THEN 'applied' ELSE 'unmatched' END",
            "next_try_at": "CASE WHEN p.n <= 30 THEN now() + interval '1 minute' END",
            "needs_review": "p.n BETWEEN 31 AND 60",
            "received_at": "p.created_at",
        },
        payments,
    )
    _insert(
        PaymentCheck(source="reconciler", actor="reconciler", found="nothing_new"),
        {"payment_id": "p.id", "checked_at": "p.created_at"},
        payments,
    )
    _insert(
        AuditEntry(action="order.create", source="api", actor="bench", outcome="done"),
        {"order": "o.ref", "at": "o.created_at"},
        orders,
    )
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
        cursor.execute("VACUUM ANALYZE")
    return {
        "orders": Order.objects.count(),
        "payments": Payment.objects.count(),
        "events": OrderEvent.objects.count(),
        "receipts": CallbackReceipt.objects.count(),
        "checks": PaymentCheck.objects.count(),
        "audit": AuditEntry.objects.count(),
    }


def _insert(template: Model, said: dict[str, str], source: str) -> None:
    """A row for each of the source's: what is said as SQL, and everything else as the template has it."""
    fields = {str(f.column): f for f in template._meta.concrete_fields if not f.primary_key}
    # The database's own defaults come by leaving the column out.
    fields = {name: f for name, f in fields.items() if name in said or f.db_default is NOT_PROVIDED}
    words = ", ".join(said.get(name, "%s") for name in fields)
    rest = [
        field.get_db_prep_save(field.pre_save(template, True), connection)
        for name, field in fields.items()
        if name not in said
    ]
    names = ", ".join(f'"{name}"' for name in fields)
    table = template._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {words} FROM {source}", rest)  # noqa: S608 — our own names
