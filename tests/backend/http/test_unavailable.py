"""While the database cannot serve, every address answers 503 and says when to come again: people in a page."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from psycopg_pool import PoolTimeout

from orders.models import Order
from tests.builders import a_payment, an_order
from tests.orders.deliveries import message, signed
from tests.outage import database_away
from tests.people import SERVICE, UNKNOWN
from tests.realtime.pages.reading import granted, shown_without_script, text_of

TITLES = {
    "en": "Back in a moment",
    "de": "Gleich wieder da",
    "ru": "Скоро вернёмся",
    "zh-Hans": "马上回来",
}


@pytest.fixture
def order(database: None) -> Order:
    return an_order()


@pytest.fixture
def staff(database: None) -> Client:
    """Logged in, so that every page has a session to look up."""
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("rosa"))
    return client


@pytest.fixture
def outage(order: Order, staff: Client) -> Iterator[None]:
    with database_away():
        yield


@pytest.mark.parametrize("language", TITLES)
def test_an_order_page_says_so_in_its_readers_language_and_comes_back_by_itself(
    order: Order, staff: Client, language: str
) -> None:
    address = granted(order)
    with database_away():
        answer = Client(raise_request_exception=False).get(
            address, headers={"Accept-Language": language}
        )

    assert answer.status_code == 503
    assert f"<h1>{TITLES[language]}</h1>" in text_of(answer)
    assert answer["Content-Language"].lower() == language.lower()
    # Without JavaScript: the browser loads the address again, with the grant in it.
    refresh = re.search(r'<meta http-equiv="refresh" content="(\d+)">', text_of(answer))
    assert refresh
    assert answer["Retry-After"] == refresh[1]
    assert "no-store" in answer["Cache-Control"]
    assert address.replace("&", "&amp;") in text_of(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", f"/orders/{UNKNOWN}/"),
        ("post", f"/orders/{UNKNOWN}/"),
        ("get", f"/orders/{UNKNOWN}/receipt/"),
        ("get", "/orders/"),
        ("get", "/"),
        ("get", "/board/"),
        ("get", "/embed/"),
        ("get", "/admin/"),
        ("get", "/admin/orders/order/"),
        ("get", "/admin/orders/order/1/change/"),
        ("post", "/admin/orders/order/"),
        ("get", "/login/"),
        ("post", "/login/"),
    ],
)
@pytest.mark.usefixtures("outage")
def test_every_page_is_that_page(staff: Client, method: str, path: str) -> None:
    answer = getattr(staff, method)(path)

    assert answer.status_code == 503
    assert TITLES["en"] in shown_without_script(answer)
    assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/api/orders/{UNKNOWN}", None),
        (f"/api/orders/{UNKNOWN}/events", None),
        (f"/api/orders/{UNKNOWN}/why", None),
        ("/api/orders", {"amount": 1250, "currency": "EUR"}),
        (f"/api/orders/{UNKNOWN}/payments", {"mode": "callback"}),
        (f"/api/orders/{UNKNOWN}/cancel", {"reason": "why"}),
        (f"/api/orders/{UNKNOWN}/refunds", {"reason": "why"}),
        (f"/api/orders/{UNKNOWN}/refresh", {}),
    ],
)
@pytest.mark.parametrize("is_service", [True, False])
@pytest.mark.usefixtures("outage")
def test_every_endpoint_is_a_problem(
    staff: Client, path: str, body: dict[str, Any] | None, is_service: bool
) -> None:
    headers = {"Authorization": f"Bearer {SERVICE}"} if is_service else {}
    client = Client(raise_request_exception=False) if is_service else staff
    as_json: Any = {"content_type": "application/json", "headers": headers}

    answer = (
        client.get(path, headers=headers) if body is None else client.post(path, body, **as_json)
    )

    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert answer.json()["code"] == "database_away"
    assert int(answer["Retry-After"]) > 0


def test_a_callback_is_asked_for_again(order: Order) -> None:
    payment = a_payment(order, "pending")
    body = message(payment, "captured")
    with database_away():
        answer = Client(raise_request_exception=False).post(
            "/callbacks/house/", body, content_type="application/json", headers=signed(body)
        )

    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0


def test_where_every_connection_is_in_use_it_is_the_same(order: Order, staff: Client) -> None:
    pool: Any = connection.pool  # type: ignore[attr-defined]
    connection.close()
    kept, pool.timeout = pool.timeout, 0.2
    taken: list[Any] = []
    try:
        # A thread that a test before left may hold one: it is in use as well.
        with suppress(PoolTimeout):
            taken.extend(pool.getconn(2) for _ in range(pool.max_size))
        page = staff.get("/admin/orders/order/")
        api = Client(raise_request_exception=False).get(
            f"/api/orders/{order.ref}", headers={"Authorization": f"Bearer {SERVICE}"}
        )
    finally:
        for each in taken:
            pool.putconn(each)
        pool.timeout = kept

    assert (page.status_code, api.status_code) == (503, 503)
    assert TITLES["en"] in shown_without_script(page)
    assert api.json()["code"] == "database_busy"


def test_a_defect_is_no_outage(order: Order, staff: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_order RENAME COLUMN total TO total_before")
    try:
        answer = staff.get(granted(order), follow=True)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE orders_order RENAME COLUMN total_before TO total")

    assert answer.status_code == 500
