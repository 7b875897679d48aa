"""Pages of other sites: those that are named may read with a grant, and no page but ours rides on cookies."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from websockets.exceptions import InvalidStatus

from orders import access
from orders.models import Order
from tests.builders import an_order
from tests.realtime.conftest import in_thread
from tests.realtime.serving import Server, page

SHOP = "https://shop.example"
ASKS = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture
def server(start_server: Callable[..., Server], settings: Settings) -> Server:
    settings.ORDERCAST_ORIGINS = [SHOP]
    return start_server()


async def answer(server: Server, method: str, path: str, **headers: str) -> httpx.Response:
    """The whole answer; of a stream, what comes before it."""
    async with (
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
        client.stream(method, path, headers=headers) as got,
    ):
        return got


@pytest.mark.parametrize("path", ["", "/events", "/stream"])
async def test_a_page_of_a_named_site_may_read_with_a_grant(
    server: Server, order: Order, path: str
) -> None:
    bearer = f"Bearer {access.issue_grant([order.ref])}"
    where = f"/api/orders/{order.ref}{path}"

    asked = await answer(server, "OPTIONS", where, Origin=SHOP, **ASKS)
    read = await answer(server, "GET", where, Origin=SHOP, Authorization=bearer)

    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == SHOP
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    assert asked.headers["access-control-allow-methods"] == "GET, HEAD"
    assert read.status_code == 200
    assert read.headers["access-control-allow-origin"] == SHOP
    assert "Origin" in read.headers.get_list("vary", split_commas=True)
    for each in (asked, read):
        assert "access-control-allow-credentials" not in each.headers


async def test_a_page_of_a_named_site_reads_also_what_was_wrong(
    server: Server, order: Order
) -> None:
    for path in ("", "/stream"):
        refused = await answer(server, "GET", f"/api/orders/{order.ref}{path}", Origin=SHOP)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://shop.example", f"{SHOP}:8443", "null"]
)
@pytest.mark.parametrize("path", ["", "/stream"])
async def test_a_page_of_any_other_site_reads_nothing(
    server: Server, order: Order, origin: str, path: str
) -> None:
    where = f"/api/orders/{order.ref}{path}"
    bearer = f"Bearer {access.issue_grant([order.ref])}"

    asked = await answer(server, "OPTIONS", where, Origin=origin, **ASKS)
    read = await answer(server, "GET", where, Origin=origin, Authorization=bearer)

    assert asked.status_code == 403
    assert "access-control-allow-origin" not in asked.headers
    assert "access-control-allow-origin" not in read.headers


async def test_only_the_api_is_opened_to_other_sites(server: Server, order: Order) -> None:
    read = await answer(server, "GET", f"/orders/{order.ref}/", Origin=SHOP)

    assert "access-control-allow-origin" not in read.headers


async def test_a_socket_is_opened_for_named_sites_with_a_grant_and_refused_to_others(
    server: Server, order: Order
) -> None:
    good = access.issue_grant([order.ref])
    async with page(server, f"{order.ref}/", token=good, headers={"Origin": SHOP}) as watching:
        await watching.synced()

    with pytest.raises(InvalidStatus) as refused:
        async with page(
            server, f"{order.ref}/", token=good, headers={"Origin": "https://evil.example"}
        ):
            pass

    assert refused.value.response.status_code == 403
    assert b"ORDERCAST_ORIGINS" in refused.value.response.body


async def test_any_site_may_read_with_a_grant_where_the_setting_says_so(
    server: Server, order: Order, settings: Settings
) -> None:
    settings.ORDERCAST_ORIGINS = ["*"]
    bearer = f"Bearer {access.issue_grant([order.ref])}"

    read = await answer(
        server,
        "GET",
        f"/api/orders/{order.ref}",
        Origin="https://any.example",
        Authorization=bearer,
    )

    assert read.headers["access-control-allow-origin"] == "https://any.example"


async def test_a_named_site_does_not_ride_on_its_visitors_cookies(server: Server) -> None:
    def customer() -> tuple[Any, dict[str, str]]:
        user, client = User.objects.create_user("ada"), Client()
        client.force_login(user)
        return an_order(customer_id=user.pk), {
            "Cookie": f"sessionid={client.cookies['sessionid'].value}"
        }

    own, cookies = await in_thread(customer)

    streamed = await answer(server, "GET", f"/api/orders/{own.ref}/stream", Origin=SHOP, **cookies)
    read = await answer(server, "GET", f"/api/orders/{own.ref}", Origin=SHOP, **cookies)

    assert streamed.status_code == 401
    assert read.status_code == 401
