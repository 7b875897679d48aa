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
from realtime.access import origins
from tests.builders import an_order
from tests.realtime.conftest import in_thread
from tests.realtime.serving import Server, page

pytestmark = pytest.mark.usefixtures("either_way")

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


async def test_the_page_of_a_named_app_reads_and_watches(
    server: Server, order: Order, settings: Settings
) -> None:
    app = "capacitor://localhost"
    settings.ORDERCAST_ORIGINS = [app]
    grant = access.issue_grant([order.ref])
    where = f"/api/orders/{order.ref}"

    asked = await answer(server, "OPTIONS", where, Origin=app, **ASKS)
    read = await answer(server, "GET", where, Origin=app, Authorization=f"Bearer {grant}")
    async with page(server, f"{order.ref}/", token=grant, headers={"Origin": app}) as watching:
        await watching.synced()

    assert (asked.status_code, read.status_code) == (204, 200)
    assert asked.headers["access-control-allow-origin"] == app
    assert read.headers["access-control-allow-origin"] == app


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


def is_own(origin: str, host: str) -> bool:
    return origins.is_own({b"origin": origin, b"host": host})


PUBLIC = "https://pay.example.com"
OTHERS = [
    "http://pay.example.com",
    "https://pay.example.com:8443",
    "https://blog.example.com",
    "https://example.com",
    "https://pay.example.com.evil.example",
    "https://pay.example.com/",
    "https://pay.example.com@evil.example",
    "http://localhost",
    "http://127.0.0.1:8000",
    "https://127.0.0.1",
    "null",
    "",
    "https://[",
]


class TestWhichPagesAreOurs:
    def test_the_public_address_and_no_other(self, settings: Settings) -> None:
        settings.ORDERCAST_PUBLIC_URL = PUBLIC
        settings.ALLOWED_HOSTS = [".example.com"]

        assert is_own(PUBLIC, "pay.example.com")
        assert is_own("HTTPS://Pay.Example.com", "pay.example.com")
        assert [each for each in OTHERS if is_own(each, "pay.example.com")] == []
        # Also where the request itself came to another of our names.
        assert not is_own("https://blog.example.com", "blog.example.com")
        assert not is_own("http://127.0.0.1:8000", "127.0.0.1:8000")

    @pytest.mark.parametrize(
        ("public", "origin"),
        [
            ("https://pay.example.com:443", PUBLIC),
            ("https://pay.example.com:8443", f"{PUBLIC}:8443"),
            ("http://pay.example.com", "http://pay.example.com"),
        ],
    )
    def test_its_port_is_written_as_browsers_do(
        self, settings: Settings, public: str, origin: str
    ) -> None:
        settings.ORDERCAST_PUBLIC_URL = public

        assert is_own(origin, "pay.example.com")

    @pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
    def test_the_demo_by_each_of_its_machines_names(self, settings: Settings, name: str) -> None:
        settings.ORDERCAST_PUBLIC_URL = "http://127.0.0.1:8000"

        assert is_own(f"http://{name}:8000", f"{name}:8000")
        assert is_own(f"http://{name}:9000", f"{name}:9000")  # through a tunnel
        assert not is_own(f"http://{name}:9999", f"{name}:8000")
        assert not is_own(f"https://{name}:8000", f"{name}:8000")
        assert not is_own(f"http://{name}", f"{name}:8000")
        assert not is_own("http://evil.example:8000", "evil.example:8000")


@pytest.mark.parametrize("shift", [1, -1])
async def test_a_page_of_another_port_does_not_ride_on_its_visitors_cookies(
    server: Server, shift: int
) -> None:
    def staff() -> dict[str, str]:
        user = User.objects.create_superuser("ada")
        client = Client()
        client.force_login(user)
        return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}

    cookies, ref = await in_thread(staff), (await in_thread(an_order)).ref
    foreign = {**cookies, "Origin": f"http://127.0.0.1:{server.port + shift}"}
    paths = ["/board/stream", *(f"/api/orders/{ref}{each}" for each in ("", "/events", "/stream"))]

    answers = [(await answer(server, "GET", path, **foreign)).status_code for path in paths]
    with pytest.raises(InvalidStatus) as refused:
        async with page(server, f"{ref}/", headers=foreign):
            pass

    assert answers == [401] * 4
    assert refused.value.response.status_code == 403
    own = {**cookies, "Origin": server.url}
    assert [(await answer(server, "GET", path, **own)).status_code for path in paths] == [200] * 4
    async with page(server, f"{ref}/", headers=own) as watching:
        await watching.synced()
