"""What `apply_snapshot` locks and saves, in statements written out: a callback costs three, and BEGIN and COMMIT.

Composed by the ORM, one for each table and with a savepoint around each step, they were most of a callback's time.
Nothing here decides. The order's row is locked before its payment's, as everywhere, and a receipt before both.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from orders import clock
from orders.database.contention import one_of_few
from orders.domain.errors import OrderNotFound
from orders.models import Order, Payment
from orders.models.order import locked_columns, take_locked
from orders.models.rows import Rows, execute, fetch


class LockedPayment(NamedTuple):
    """A payment and its order, both locked until the transaction ends."""

    order: Order
    payment: Payment


@dataclass(frozen=True, kw_only=True)
class StoredReceipt:
    """A receipt, locked until the transaction ends, and what it is about; None where nothing matches."""

    receipt: int
    outcome: str
    locked: LockedPayment | None


def locked(payment_id: int) -> LockedPayment:
    """The order of a payment and the payment, both locked and as they are now. Raises `OrderNotFound`, `Busy`."""
    with one_of_few(("payment", payment_id)):
        row = fetch(_lock(), [payment_id])
    if row is None:
        raise OrderNotFound(str(payment_id))
    return _locked(iter(row))


def store_receipt(
    receipt: Mapping[str, Any], *, by_our_ref: str, by_provider_ref: str
) -> StoredReceipt:
    """Store a callback's item unless it is there, count the delivery, and lock what it is about.

    A copy that comes at the same moment waits here until the first is committed. By the provider's reference
    first: where the two disagree, that payment is the one with the mismatch.
    """
    parameters = {
        **receipt, "headers": json.dumps(receipt["headers"]), "at": clock.now(),
        "our_ref": by_our_ref, "provider_ref": by_provider_ref,
    }  # fmt: skip
    # Where no payment comes with it, the row that was stored just now is read alone.
    row = fetch(_store(), parameters) or fetch(_ALONE, receipt) or ()
    values = iter(row)
    number, outcome = next(values), next(values)
    return StoredReceipt(
        receipt=number, outcome=outcome, locked=_locked(values) if len(row) > 2 else None
    )


def save_payment(payment: Payment, names: Sequence[str]) -> None:
    """Save these fields of a locked payment, if there are any."""
    if names:
        execute(_payments().update(names), {**_values(payment, names), "id": payment.pk})


def conclude(
    receipt: int, outcome: str, detail: str, payment: Payment, names: Sequence[str]
) -> None:
    """Write down on a receipt what became of it, and these fields of its payment with it."""
    concluded = {"receipt": receipt, "outcome": outcome, "detail": detail[:500], "id": payment.pk}
    saving = f"WITH saved AS ({_payments().update(names)})" if names else ""
    execute(saving + _CONCLUDE, {**_values(payment, names), **concluded})


def _values(payment: Payment, names: Sequence[str]) -> dict[str, Any]:
    return {f"new_{name}": getattr(payment, name) for name in names}


def _locked(values: Iterator[Any]) -> LockedPayment:
    return LockedPayment(take_locked(values), _payments().take(values))


@cache
def _payments() -> Rows[Payment]:
    return Rows(Payment, "p")


# Both are locked, although the order's lock alone decides races: of a row that is not, PostgreSQL would give what it
# was when the statement began, and not when the lock was had.
@cache
def _lock() -> str:
    return f"""
SELECT {locked_columns()}, {_payments().columns}
  FROM orders_payment p JOIN orders_order o ON o.id = p.order_id
 WHERE p.id = %s
   FOR NO KEY UPDATE OF o, p
"""  # noqa: S608 — names of ours


@cache
def _store() -> str:
    return f"""
WITH stored AS (
    INSERT INTO orders_callbackreceipt AS r (provider, event_id, kind, merchant_ref, body, headers, received_at,
                outcome, detail, deliveries, tries, needs_review)
    VALUES (%(provider)s, %(event_id)s, %(kind)s, %(merchant_ref)s, %(body)s, %(headers)s, %(at)s,
            %(outcome)s, %(detail)s, 1, 0, false)
        ON CONFLICT (provider, event_id) DO UPDATE SET deliveries = r.deliveries + 1
 RETURNING r.id, r.outcome
)
SELECT stored.id, stored.outcome, {locked_columns()}, {_payments().columns}
  FROM stored, orders_payment p JOIN orders_order o ON o.id = p.order_id
 WHERE p.id = COALESCE(
           (SELECT id FROM orders_payment
             WHERE provider = %(provider)s AND provider_ref = %(provider_ref)s AND provider_ref <> ''),
           (SELECT id FROM orders_payment WHERE provider = %(provider)s AND ref = %(our_ref)s))
   FOR NO KEY UPDATE OF o, p
"""  # noqa: S608 — names of ours


_ALONE = "SELECT id, outcome FROM orders_callbackreceipt WHERE provider = %(provider)s AND event_id = %(event_id)s"
_CONCLUDE = """
UPDATE orders_callbackreceipt
   SET payment_id = %(id)s, outcome = %(outcome)s, detail = %(detail)s, next_try_at = NULL, needs_review = false
 WHERE id = %(receipt)s
"""
