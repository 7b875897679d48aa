"""A primary that is demoted, or gone, under open connections: 503 and not ready; back as soon as one takes writes."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orders import access
from orders.models import Payment
from tests.orders.deliveries import message, signed
from tests.people import SERVICE
from tests.postgres import Postgres, a_postgres
from tests.realtime.serving import ServerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.stack


class Shop:
    """Asks a web process for what needs the database to take writes."""

    def __init__(self, web: ServerProcess) -> None:
        headers = {"Authorization": f"Bearer {SERVICE}"}
        self._client = httpx.Client(
            base_url=web.url, headers=headers, trust_env=False, timeout=30, follow_redirects=True
        )

    def close(self) -> None:
        self._client.close()

    def order(self) -> httpx.Response:
        return self._client.post("/api/orders", json={"amount": 1250, "currency": "EUR"})

    def pay(self, ref: str) -> httpx.Response:
        return self._client.post(f"/api/orders/{ref}/payments", json={"mode": "callback"})

    def callback(self, payment: Payment) -> httpx.Response:
        body = message(payment, "captured")
        return self._client.post("/callbacks/house/", content=body, headers=signed(body))

    def page(self, ref: str) -> httpx.Response:
        return self._client.get(f"/orders/{ref}/?grant={access.issue_grant([ref])}")

    def ready(self) -> httpx.Response:
        return self._client.get("/health/ready")


@pytest.fixture
def primary(child_environment: dict[str, str]) -> Iterator[Postgres]:
    with a_postgres(child_environment) as made:
        yield made


@pytest.fixture
def shop_at(child_environment: dict[str, str]) -> Iterator[Callable[[str], Shop]]:
    """A web process whose database is at this address, and its shop."""
    started: list[tuple[ServerProcess, Shop]] = []

    def start(url: str) -> Shop:
        web = ServerProcess({**child_environment, "DATABASE_URL": url}).wait()
        started.append((web, Shop(web)))
        return started[-1][1]

    yield start
    for web, shop in started:
        shop.close()
        web.stop()


def test_a_primary_that_takes_no_writes_is_left_until_it_does(
    primary: Postgres, shop_at: Callable[[str], Shop]
) -> None:
    shop = shop_at(primary.url)
    order = shop.order().json()
    paid = shop.pay(order["ref"]).json()["payment"]
    payment = Payment(ref=paid["ref"], provider="house", amount=1250, currency="EUR")

    primary.be_read_only()
    answers: list[Any] = [shop.order(), shop.pay(order["ref"]), shop.callback(payment)]

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    assert {answer.json()["code"] for answer in answers[:2]} == {"database_read_only"}
    eventually(lambda: shop.ready().status_code == 503)
    assert shop.ready().json()["database"].startswith("read-only")
    eventually(lambda: primary.sessions() == 0, saying="the connections were let go")
    assert shop.page(order["ref"]).status_code == 503

    primary.be_read_only(is_so=False)
    eventually(lambda: shop.order().status_code == 201)
    eventually(lambda: shop.ready().status_code == 200)
    assert shop.callback(payment).status_code == 200


def test_of_several_hosts_the_one_that_takes_writes_is_found_after_a_failover(
    primary: Postgres, shop_at: Callable[[str], Shop]
) -> None:
    copy = Path(tempfile.mkdtemp(prefix="oc-"))
    standby = primary.standby(copy)
    try:
        hosts = f"{standby.folder},{primary.folder}"
        shop = shop_at(f"postgresql://postgres@/ordercast?host={hosts}")
        assert shop.order().status_code == 201
        assert standby.ask("SELECT count(*) FROM orders_order") is not None

        primary.be_read_only()  # demoted, and still there: nothing is closed
        standby.promote()

        eventually(lambda: shop.order().status_code == 201, ignoring=(httpx.HTTPError,))
        eventually(lambda: primary.sessions() == 0, saying="the old primary was let go")
        eventually(lambda: shop.ready().status_code == 200)
    finally:
        standby.stop()
        shutil.rmtree(copy)
