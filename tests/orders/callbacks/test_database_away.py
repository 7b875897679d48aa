"""A callback while the database is away: never a 2xx that is not committed, and the provider comes back."""

from typing import Any

import psycopg
import pytest
from django.db import close_old_connections, connection

from orders.models import CallbackReceipt, Order, Payment
from tests.builders import a_payment, an_order
from tests.orders.deliveries import deliver
from tests.outage import database_away


@pytest.fixture
def payment(database: None) -> Payment:
    return a_payment(an_order(), "pending")


def test_without_a_database_the_provider_is_asked_to_send_again(payment: Payment) -> None:
    with database_away():
        answer = deliver(payment, "captured")

    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0


def test_a_connection_that_dies_under_a_callback_costs_one_try(payment: Payment) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    with psycopg.connect(**_parameters(), autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])

    first = deliver(payment, "captured").status_code
    close_old_connections()  # as Django does at the end of a request; its test client does not
    second = deliver(payment, "captured").status_code

    assert (first, second) == (503, 200)
    assert Order.objects.get().state == "paid"
    assert CallbackReceipt.objects.get().deliveries == 1


def _parameters() -> dict[str, Any]:
    names = {"dbname", "user", "password", "host", "port"}
    given = connection.get_connection_params()
    return {name: value for name, value in given.items() if name in names}
