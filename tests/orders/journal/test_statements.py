"""What is locked is what has become of it meanwhile, and a callback costs few statements."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from orders.commands import snapshots
from orders.models import CallbackReceipt, Order, Payment
from orders.models.rows import fetch
from tests.builders import (
    API,
    a_payment,
    an_order,
    an_order_that_is,
    journal_of,
    tell,
    told,
    types_of,
)
from tests.orders.deliveries import deliver
from tests.waiting import eventually

PREPARED = None  # of such a statement Django's log of queries does not know the text

pytestmark = pytest.mark.usefixtures("database")


def _while_it_waits(works: Callable[[], Any], *, first: Callable[[], Any]) -> Any:
    """What `works` gives if it finds the order locked by a transaction that does `first`, and waits for its end."""

    def run() -> Any:
        try:
            return works()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            second = pool.submit(run)
            eventually(_somebody_waits)
        return second.result()


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def _state_of(order: Order) -> str:
    return str(Order.objects.get(pk=order.pk).state)


def test_its_statements_are_planned_once() -> None:
    for number in range(3):
        assert fetch("SELECT %s + 1 AS of_this_test", [number]) == (number + 1,)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements"
            " WHERE statement LIKE '%of_this_test'"
        )
        assert cursor.fetchall() == [("SELECT $1 + 1 AS of_this_test", 3)]


def test_who_waited_for_the_lock_sees_the_payment_as_it_has_become() -> None:
    order = an_order()
    payment = a_payment(order, "pending")
    snapshot = told(payment, "captured")

    outcome, _ = _while_it_waits(
        lambda: snapshots.apply_snapshot(payment.pk, snapshot, API),
        first=lambda: snapshots.apply_snapshot(payment.pk, snapshot, API),
    )

    assert outcome == "nothing_new"
    assert journal_of(order)[1:] == [(2, "payment.captured", "paid")]


def test_a_callback_that_waited_for_the_lock_sees_the_payment_as_it_has_become() -> None:
    order = an_order()
    payment = a_payment(order, "pending")

    answer = _while_it_waits(
        lambda: deliver(payment, "processing"), first=lambda: tell(payment, "captured")
    )

    assert (answer.status_code, CallbackReceipt.objects.get().outcome) == (200, "asking")
    assert types_of(order)[1:] == ["payment.captured"]


def test_of_two_attempts_that_fail_at_once_the_last_fails_the_order() -> None:
    order = an_order_that_is("awaiting_payment")
    one, other = a_payment(order, "pending"), a_payment(order, "pending")

    _while_it_waits(lambda: deliver(other, "failed"), first=lambda: tell(one, "failed"))

    assert _state_of(order) == "failed"


def test_one_attempt_that_ends_while_another_is_open_leaves_the_order_open() -> None:
    order = an_order_that_is("awaiting_payment")
    one, _other = a_payment(order, "pending"), a_payment(order, "pending")

    deliver(one, "failed")

    assert _state_of(order) == "awaiting_payment"


def test_a_receipt_says_of_which_payment_it_was_whichever_reference_came() -> None:
    payment = a_payment(an_order(), "pending")
    unnamed = a_payment(an_order(), "intended")

    deliver(payment, "processing", "evt_1")
    deliver(unnamed, "pending", "evt_2")

    kept = CallbackReceipt.objects.order_by("event_id").values_list("payment", "outcome")
    assert list(kept) == [(payment.pk, "applied"), (unnamed.pk, "applied")]
    assert Payment.objects.get(pk=unnamed.pk).provider_ref == f"pay_{unnamed.ref}"


@pytest.mark.parametrize(
    ("event_id", "wanted"),
    [
        ("evt_new", ["BEGIN", PREPARED, PREPARED, PREPARED, "COMMIT"]),
        ("evt_old", ["BEGIN", PREPARED, "COMMIT"]),
    ],
)
def test_a_callback_takes_few_statements(event_id: str, wanted: list[str | None]) -> None:
    payment = a_payment(an_order_that_is("awaiting_payment"), "pending")
    deliver(payment, "processing", "evt_old")

    with CaptureQueriesContext(connection) as asked:
        deliver(payment, "authorised", event_id)

    assert [query["sql"] for query in asked] == wanted
