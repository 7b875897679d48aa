"""Django behind ASGI: callbacks in one thread from beginning to end, everything else with one hop."""

import asyncio
import threading
from functools import partial
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import connection
from django.dispatch import Signal

from backend.asgi import application
from orders.models import Order, Payment
from orders.payments import registry
from orders.payments.base import Unavailable
from tests.builders import a_payment, an_order
from tests.orders.deliveries import message, signed
from tests.waiting import eventually, eventually_async

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def payment(database: None) -> Payment:
    return a_payment(an_order(), "pending")


async def ask(method: str, path: str, **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, **more)


def _connections_in_use() -> int:
    stats = connection.pool.get_stats()  # type: ignore[attr-defined]
    return int(stats["pool_size"] - stats["pool_available"])


async def call_back(payment: Payment, status: str, event_id: str = "evt_1") -> httpx.Response:
    body = message(payment, status)
    return await ask("POST", "/callbacks/house/", content=body, headers=signed(body, event_id))


def threads_of(*signals: Signal) -> list[str]:
    """Fills with the name of the thread that each of them was sent in."""
    names: list[str] = []

    def listen(**_rest: object) -> None:
        names.append(threading.current_thread().name)

    for signal in signals:
        signal.connect(listen, weak=False, dispatch_uid="test")
    return names


@pytest.fixture
def threads() -> Any:
    signals = request_started, request_finished
    yield threads_of(*signals)
    for signal in signals:
        signal.disconnect(dispatch_uid="test")


async def test_a_callback_is_taken_in_one_thread_of_its_own(
    payment: Payment, threads: list[str]
) -> None:
    answer = await call_back(payment, "captured")

    assert (answer.status_code, answer.text) == (200, "ok")
    assert (await Order.objects.aget()).state == "paid"
    assert len(threads) == 2
    assert {name.rpartition("_")[0] for name in threads} == {"callback"}
    assert len(set(threads)) == 1


@pytest.mark.parametrize("path", ["/callbacks/house/", "/callbacks/house"])
async def test_a_callback_passes_nothing_that_is_there_for_pages(
    payment: Payment, path: str
) -> None:
    body = message(payment, "captured")
    cookies = {"Cookie": "sessionid=0", "Accept-Language": "de"}

    answer = await ask("POST", path, content=body, headers=signed(body) | cookies)

    assert (answer.status_code, answer.text) == (200, "ok")
    assert not {"vary", "content-language", "set-cookie"} & set(answer.headers)
    assert answer.headers["content-length"] == "2"  # or it would go out in chunks
    assert (await Order.objects.aget()).state == "paid"


async def test_a_page_gives_its_connection_back_before_it_is_sent(payment: Payment) -> None:
    before = _connections_in_use()
    begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def send(_message: Any) -> None:
        begun.set()
        await may_go_on.wait()

    messages: list[Any] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if not messages:
            await may_go_on.wait()
            return {"type": "http.disconnect"}
        return messages.pop()

    headers = {
        b"host": b"localhost",
        b"authorization": f"Bearer {settings.ORDERCAST_SERVICE_TOKEN}".encode(),
    }
    path = f"/api/orders/{payment.order.ref}"
    scope: Any = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": list(headers.items()), "root_path": "", "scheme": "http", "http_version": "1.1",
        "server": ("localhost", 80), "client": ("127.0.0.1", 40_000),
    }  # fmt: skip
    answering = asyncio.ensure_future(application(scope, receive, send))
    await asyncio.wait_for(begun.wait(), 20)
    # The pool takes a connection back in a thread of its own.
    await eventually_async(lambda: _connections_in_use() <= before, 2)
    may_go_on.set()
    await answering


async def test_no_connection_waits_for_a_provider(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = payment.order
    before, asked_for = _connections_in_use(), set[str]()

    def asked(method: str, *_: Any) -> Any:
        eventually(lambda: _connections_in_use() <= before, 2)
        asked_for.add(method)
        raise Unavailable("away")

    for method in ("create", "fetch", "cancel", "refund"):
        monkeypatch.setattr(registry.get("house"), method, partial(asked, method))
    token = {"Authorization": f"Bearer {settings.ORDERCAST_SERVICE_TOKEN}"}
    for path in ("payments", "refresh", "cancel"):
        await ask("POST", f"/api/orders/{order.ref}/{path}", json={}, headers=token)

    assert asked_for == {"create", "fetch", "cancel"}


async def test_many_callbacks_give_their_connections_back(payment: Payment) -> None:
    before = _connections_in_use()

    answers = await asyncio.gather(
        *[call_back(payment, "processing", f"evt_{number}") for number in range(40)]
    )

    assert {answer.status_code for answer in answers} == {200}
    assert _connections_in_use() == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/callbacks/house/", 405),
        ("POST", "/callbacks/elsewhere/", 404),
        ("POST", "/callbacks/", 404),
        ("POST", "/callbacks/house/", 400),
        ("GET", "/health/live", 200),
        ("GET", "/nowhere/", 404),
    ],
)
async def test_what_else_comes_is_answered_as_by_django(
    method: str, path: str, status: int
) -> None:
    answer = await ask(method, path)

    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_client_that_goes_away_before_its_callback_is_whole_changes_nothing(
    payment: Payment,
) -> None:
    scope = {
        "type": "http", "method": "POST", "path": "/callbacks/house/", "query_string": b"", "http_version": "1.1",
        "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    messages = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    answers: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        answers.append(message)

    await application(scope, receive, send)

    assert (messages, answers) == ([], [])
