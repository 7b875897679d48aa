"""A callback while the database is away: never a 2xx that is not committed, and the provider comes back."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import close_old_connections, connection

from orders.models import CallbackReceipt, Order, Payment
from tests.builders import a_payment, an_order
from tests.orders.deliveries import deliver
from tests.ports import free_port


@pytest.fixture
def payment(database: None) -> Payment:
    return a_payment(an_order(), "pending")


@pytest.fixture
def no_database(payment: Payment) -> Iterator[None]:
    """Nothing listens where the database should be, and the pool does not wait long to see it."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    kept = connection.settings_dict
    pool = {**kept["OPTIONS"]["pool"], "timeout": 0.2}
    away = {"HOST": "127.0.0.1", "PORT": str(free_port()), "OPTIONS": {**kept["OPTIONS"], "pool": pool}}  # fmt: skip
    connection.settings_dict = kept | away
    yield
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict = kept


@pytest.mark.usefixtures("no_database")
def test_without_a_database_the_provider_is_asked_to_send_again(payment: Payment) -> None:
    assert deliver(payment, "captured").status_code == 503


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
