"""Opening the shop's link in a real Chromium: the grant leaves the address, and the page is live by its cookie."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Request, WebSocketRoute, expect

from orders import access
from orders.access import revocation
from orders.models import Order
from tests.browser.conftest import Reader
from tests.browser.opening import address
from tests.builders import an_order_that_is, move
from tests.realtime.serving import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(check=0.1, access_check=0.1)


def becomes(page: Page, status: str) -> None:
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", status)


@pytest.mark.parametrize("way", ["websocket", "sse", "polling"])
def test_a_link_is_live_by_its_cookie_and_its_grant_is_in_no_address_after_the_first(
    server: Server, reader: Reader, way: str
) -> None:
    order = an_order_that_is("awaiting_payment")
    reader.expected = ["ERR_FAILED"]
    if way != "websocket":
        reader.context.route_web_socket("**/ws/**", WebSocketRoute.close)
    if way == "polling":
        reader.context.route("**/stream", lambda route: route.abort())
    asked: list[Request] = []
    # Not the list's own method: Playwright marks what it is given.
    reader.context.on("request", lambda request: asked.append(request))  # noqa: PLW0108

    page = reader.open(address(server, order))
    becomes(page, "polling" if way == "polling" else "live")
    move(order.ref, "pay")

    expect(page.get_by_role("heading", level=1)).to_have_text("Paid, thank you")
    assert page.url == f"{server.url}/orders/{order.ref}/"
    assert ["eyJ" in each.url for each in asked[:2]] == [True, False]
    after = [*(each.url for each in asked[1:]), *reader.sockets]
    told = [header for each in asked[1:] for header in (each.header_value("referer") or "",)]
    assert not [each for each in after + told if "eyJ" in each]
    assert page.evaluate("document.cookie").count("grant") == 0
    assert "eyJ" not in page.content()


def test_two_orders_of_two_links_are_live_in_one_browser(server: Server, reader: Reader) -> None:
    orders = [an_order_that_is("awaiting_payment") for _ in range(2)]
    pages = [reader.open(address(server, order)) for order in orders]

    for order, page in zip(orders, pages, strict=True):
        becomes(page, "live")
        move(order.ref, "pay")
        expect(page.get_by_role("heading", level=1)).to_have_text("Paid, thank you")
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Paid, thank you")
    assert _visible_to_each_other(reader, orders, server) == [404, 404]


def _visible_to_each_other(reader: Reader, orders: list[Order], server: Server) -> list[int]:
    """What the API says of each order with the cookie of the other: a cookie goes to its own order alone."""
    cookies = reader.context.cookies()
    found = []
    for order, other in zip(orders, reversed(orders), strict=True):
        token = next(
            each["value"] for each in cookies if each["path"] == f"/api/orders/{other.ref}"
        )
        answer = reader.context.request.get(
            f"{server.url}/api/orders/{order.ref}", headers={"Authorization": f"Bearer {token}"}
        )
        found.append(answer.status)
    return found


def test_a_link_that_is_revoked_ends_its_open_page(server: Server, reader: Reader) -> None:
    order = an_order_that_is("awaiting_payment")
    page = reader.open(address(server, order))
    becomes(page, "live")

    access.revoke(revocation.order(order.ref), actor="test")

    becomes(page, "stopped")


def test_a_link_works_without_script(server: Server, reader_without_script: Reader) -> None:
    order = an_order_that_is("paid")

    page = reader_without_script.open(address(server, order))
    page.get_by_role("link", name="receipt").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Receipt")
    assert page.url == f"{server.url}/orders/{order.ref}/receipt/"
