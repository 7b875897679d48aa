"""Orders, payments and what providers say of them, for the tests of the domain. Everything goes through real rows."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.apps import apps
from django.db import connection, transaction

from orders.commands import lifecycle, snapshots
from orders.domain import events
from orders.domain.cause import Cause, Source
from orders.domain.outcomes import Outcome
from orders.models import AuditEntry, Order, OrderEvent, Payment
from orders.payments.base import PaymentStatus, RefundSnapshot, RefundStatus, Snapshot

API = Cause(Source.API, "shop")
RECONCILER = Cause(Source.RECONCILER, "reconciler")
STAFF = Cause(Source.STAFF, "rosa", "asked by the customer")
FAR = "2031-05-06T07:08:09+00:00"

T = TypeVar("T")

# An event for each move of the state machine, all about one payment of 1000 that is taken in full.
EVENTS: dict[str, events.Event] = {
    "start": events.PaymentStarted(payment="p1", provider="house", amount=1_000),
    "process": events.PaymentProcessing(payment="p1"),
    "authorise": events.PaymentAuthorised(payment="p1", amount=1_000),
    "pay": events.PaymentCaptured(payment="p1", amount=1_000, captured=1_000),
    "fail": events.PaymentFailed(payment="p1", code="card_declined"),
    "cancel": events.OrderCancelled(reason="changed my mind"),
    "expire": events.OrderExpired(expired_at=FAR),
    "refund_changed": events.RefundChanged(payment="p1", refunded=300),
    "open_dispute": events.DisputeOpened(payment="p1", disputed=1_000),
    "win_dispute": events.DisputeWon(payment="p1"),
    "lose_dispute": events.DisputeLost(payment="p1", disputed=1_000),
    "accept_late_payment": events.LatePaymentAccepted(reason="it came a day late"),
}

# How an order gets to each state: moves, or events that come with a move.
_WAYS: dict[str, list[str | tuple[str, events.Event]]] = {
    "created": [],
    "awaiting_payment": ["start"],
    "processing": ["process"],
    "authorised": ["authorise"],
    "paid": ["pay"],
    "partially_refunded": ["pay", "refund_changed"],
    "refunded": ["pay", ("refund_changed", events.RefundChanged(payment="p1", refunded=1_000))],
    "disputed": ["pay", "open_dispute"],
    "charged_back": ["pay", "open_dispute", "lose_dispute"],
    "failed": ["start", "fail"],
    "cancelled": ["cancel"],
    "expired": ["expire"],
}


def an_order(total: int = 1_000, currency: str = "EUR", **more: Any) -> Order:
    order, _ = lifecycle.create_order(total=total, currency=currency, cause=API, **more)
    return Order.objects.get(pk=order.pk)


def an_order_that_is(state: str) -> Order:
    """An order of 1000 that came to `state` by moves of its own."""
    order = an_order()
    for way in _WAYS[state]:
        name, event = (way, EVENTS[way]) if isinstance(way, str) else way
        move(order.ref, name, event)
    return Order.objects.get(pk=order.pk)


@transaction.atomic
def move(ref: str, name: str, event: events.Event | None = None) -> Order:
    """Make a move as commands do: locked, in a transaction."""
    order = Order.objects.locked(ref)
    order.make(name, event or EVENTS[name], API)
    return order


def a_payment(order: Order, status: str = "intended", **values: Any) -> Payment:
    """A payment row, as if its create call had got so far; the order is left as it is."""
    defaults: dict[str, Any] = {"provider": "house", "amount": order.total, "profile": "unknown"}
    payment = Payment(order=order, currency=order.currency, status=status, **(defaults | values))
    if status != "intended" and not payment.provider_ref:
        payment.provider_ref = f"pay_{payment.ref}"
    payment.save(force_insert=True)
    return payment


def told(payment: Payment, status: str, **values: Any) -> Snapshot:
    """What the provider says of the payment. `captured` is all of it if the status says so."""
    defaults: dict[str, Any] = {
        "merchant_ref": payment.ref,
        "provider_ref": payment.provider_ref or f"pay_{payment.ref}",
        "amount": payment.amount,
        "currency": payment.currency,
        "captured": payment.amount if status == "captured" else 0,
    }
    return Snapshot(status=PaymentStatus(status), **(defaults | values))


def a_refund(amount: int, status: str = "succeeded", ref: str | None = None) -> RefundSnapshot:
    return RefundSnapshot(
        ref=ref, provider_ref=f"ref_{ref}", amount=amount, status=RefundStatus(status)
    )


def tell(
    payment: Payment, status: str, *, cause: Cause = API, seen: int | None = None, **values: Any
) -> Outcome:
    """Let the provider say it, through `apply_snapshot`."""
    snapshot = told(payment, status, **values)
    outcome, _ = snapshots.apply_snapshot(payment.pk, snapshot, cause, seen=seen)
    payment.refresh_from_db()
    return outcome


def journal_of(order: Order) -> list[tuple[int, str, str]]:
    """The order's stream: version, type, state after it."""
    rows = OrderEvent.objects.filter(order=order).order_by("version")
    return list(rows.values_list("version", "type", "state"))


def types_of(order: Order) -> list[str]:
    return [kind for _, kind, _ in journal_of(order)]


def database_contents() -> dict[str, list[str]]:
    """Every row of every table of ours, in one query. Not the audit's, which also notes what changed nothing."""
    models = [
        model for model in apps.get_app_config("orders").get_models() if model is not AuditEntry
    ]
    tables = [model._meta.db_table for model in models]
    parts = [f"SELECT '{t}', array_agg(t::text ORDER BY t::text) FROM {t} t" for t in tables]  # noqa: S608 — our own tables
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return dict(cursor.fetchall())


def at_once(*calls: Callable[[], T]) -> list[T | Exception]:
    """Run the calls in threads of their own, each with its own connection; what each gave or raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(_guarded, calls))


def _guarded(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 — what it raised is the result
        return error
    finally:
        connection.close()


def refused(results: Iterable[object]) -> list[Exception]:
    return [result for result in results if isinstance(result, Exception)]
