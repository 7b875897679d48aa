"""One order whose row is locked, or about which a thousand things come at once, holds up no other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from django.db import connection

from orders import access
from orders.models import Order, Payment
from tests.builders import a_payment, an_order
from tests.orders.deliveries import message, signed
from tests.people import SERVICE
from tests.realtime.serving import ServerProcess
from tests.waiting import eventually_async

pytestmark = pytest.mark.stack

MANY = 24  # more than there are threads, and connections
Start = Callable[..., ServerProcess]


@pytest.fixture
def theirs(database: None) -> Payment:
    """The payment whose order somebody has locked."""
    return a_payment(an_order(), "pending")


@pytest.fixture
def ours(database: None) -> Payment:
    return a_payment(an_order(), "pending")


@pytest.fixture
def locked(theirs: Payment) -> "Iterator[psycopg.Connection[Any]]":
    """An idle transaction that holds the order's row."""
    params = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in {"dbname", "user", "password", "host", "port"}
    }
    with psycopg.connect(**params) as holder:
        holder.execute("SELECT 1 FROM orders_order WHERE id = %s FOR UPDATE", [theirs.order_id])
        yield holder


@pytest.fixture
def start(child_environment: dict[str, str], valkey: object) -> Iterator[Start]:
    started: list[ServerProcess] = []

    def begin(**variables: str) -> ServerProcess:
        started.append(ServerProcess(child_environment, **variables))
        return started[-1].wait()

    yield begin
    for each in started:
        each.stop()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=2_000)
    async with httpx.AsyncClient(trust_env=False, timeout=120, limits=limits) as made:
        yield made


async def call_back(
    client: httpx.AsyncClient, web: ServerProcess, payment: Payment, number: int = 0
) -> httpx.Response:
    body = message(payment, "processing")
    headers = signed(body, f"evt_{payment.pk}_{number}")
    return await client.post(f"{web.url}/callbacks/house/", content=body, headers=headers)


async def command(client: httpx.AsyncClient, web: ServerProcess, ref: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {SERVICE}"}
    return await client.post(f"{web.url}/api/orders/{ref}/cancel", json={}, headers=headers)


async def served(client: httpx.AsyncClient, web: ServerProcess, payment: Payment) -> list[int]:
    """What another order's callback, page and API are answered, and whether the process counts as ready."""
    ref = payment.order.ref
    headers = {"Authorization": f"Bearer {SERVICE}"}
    page = f"{web.url}/orders/{ref}/?grant={access.issue_grant([ref])}"
    answers = [
        await call_back(client, web, payment),
        await client.get(page, follow_redirects=True),
        await client.get(f"{web.url}/api/orders/{ref}", headers=headers),
        await client.get(f"{web.url}/health/ready"),
    ]
    return [answer.status_code for answer in answers]


async def test_others_are_served_while_everybody_waits_for_a_locked_order(
    start: Start,
    client: httpx.AsyncClient,
    theirs: Payment,
    ours: Payment,
    locked: "psycopg.Connection[Any]",
) -> None:
    web = start(ORDERCAST_LOCK_TIMEOUT="60")
    callbacks = [
        asyncio.ensure_future(call_back(client, web, theirs, number)) for number in range(MANY)
    ]
    commands = [asyncio.ensure_future(command(client, web, theirs.order.ref)) for _ in range(MANY)]
    # A few may wait; the others are told so at once, and not after the lock's time.
    await eventually_async(lambda: sum(each.done() for each in commands) >= MANY - 4, 20)

    others = await served(client, web, ours)

    assert others == [200, 200, 200, 200]
    assert not any(each.done() for each in callbacks)
    refused = [each.result() for each in commands if each.done()]
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.json()["code"] for answer in refused} == {"database_busy"}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    locked.rollback()
    answers = await asyncio.gather(*callbacks)
    assert {answer.status_code for answer in answers} == {200}
    await asyncio.gather(*commands)


async def test_whoever_waits_for_a_locked_order_is_asked_to_come_again(
    start: Start,
    client: httpx.AsyncClient,
    theirs: Payment,
    locked: "psycopg.Connection[Any]",
) -> None:
    web = start(ORDERCAST_LOCK_TIMEOUT="0.5")

    answers = await asyncio.gather(
        *[call_back(client, web, theirs, number) for number in range(MANY)],
        *[command(client, web, theirs.order.ref) for _ in range(MANY)],
    )
    locked.rollback()
    again = await call_back(client, web, theirs)

    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    assert again.status_code == 200
    assert "Traceback" not in web.output()


async def test_a_flood_about_one_order_lets_another_order_pass(
    start: Start, client: httpx.AsyncClient, theirs: Payment, ours: Payment
) -> None:
    web = start()
    flood = [asyncio.ensure_future(call_back(client, web, theirs, number)) for number in range(400)]
    await eventually_async(lambda: any(each.done() for each in flood), 60)

    answer = await call_back(client, web, ours)
    before = sum(each.done() for each in flood)

    assert answer.status_code == 200
    statuses = [(await each).status_code for each in flood]
    assert before < 360  # it did not wait for them all
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) > 200
    order = await Order.objects.aget(pk=theirs.order_id)
    assert order.state == "processing"
