"""A proxy that answers by itself while the server behind it is replaced: no page takes that for an answer of ours."""

import io
import re
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, Route, expect
from pytest_django import Settings

from orders import access
from orders.commands import refresh_runs
from orders.domain.cause import Cause, Source
from orders.models import Order, RefreshItem
from tests.browser.conftest import Reader
from tests.browser.shop import Shop
from tests.builders import an_order, an_order_that_is, move
from tests.proxy import Proxy
from tests.realtime.pages.reading import granted
from tests.realtime.serving import Server
from tests.waiting import eventually

pytestmark = pytest.mark.browser


def _answer(status: str, kind: str, body: str, *headers: str) -> bytes:
    lines = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join([*lines, "Connection: close", "", body]).encode()


ANSWERS = {
    "404": _answer("404 Not Found", "text/plain; charset=utf-8", "404 page not found\n"),
    "403": _answer("403 Forbidden", "text/html", "<html><h1>403 Forbidden</h1></html>"),
    "200": _answer("200 OK", "text/html", "<html><h1>Back in a minute</h1></html>"),
    "302": _answer("302 Found", "text/plain", "", "Location: /maintenance"),
}


@pytest.fixture(params=["404", "302"])
def answer(request: pytest.FixtureRequest) -> bytes:
    return ANSWERS[request.param]


@pytest.fixture
def proxy(start_server: Callable[..., Server], settings: Settings, shop: Shop) -> Iterator[Proxy]:
    server = start_server(check=0.1)
    with Proxy(server.port) as running:
        settings.ORDERCAST_PUBLIC_URL = f"http://127.0.0.1:{running.port}"
        settings.ORDERCAST_ORIGINS = [shop.origin]
        yield running


@pytest.fixture
def reader(reader: Reader) -> Reader:
    reader.expected = ["WebSocket connection", "Failed to load resource", "MIME type", "CORS"]
    # Of the times between two tries only the shortest: what a page does about an answer is the same.
    reader.context.add_init_script("Math.random = () => 0.01")
    return reader


def _is_at(proxy: Proxy, order: Order, how: str) -> bool:
    """Whether the proxy itself has answered a page that asked for the order by this way."""
    return any(f"/api/orders/{order.ref}{how} " in line for line in proxy.requests)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_order_page_comes_back_by_itself(proxy: Proxy, answer: bytes, reader: Reader) -> None:
    order = an_order_that_is("awaiting_payment")
    page = reader.open(f"http://127.0.0.1:{proxy.port}{granted(order)}")
    page.evaluate("window.isTheSamePage = true")
    _is(page, "live")

    proxy.answer_itself(answer)
    eventually(lambda: _is_at(proxy, order, "/stream") and _is_at(proxy, order, ""), 60)
    _is(page, "reconnecting")
    move(order.ref, "pay")
    proxy.heal()

    expect(page.get_by_role("heading", level=1)).to_have_text("Paid, thank you")
    _is(page, "live")
    assert page.evaluate("window.isTheSamePage")


def test_an_order_page_that_has_to_be_loaded_anew_waits_for_a_page_of_ours(
    proxy: Proxy, answer: bytes, reader: Reader
) -> None:
    """Its history is no longer the journal's, and just then the proxy answers for the page, but not for its socket."""
    order = an_order_that_is("awaiting_payment")
    page = reader.open(f"http://127.0.0.1:{proxy.port}{granted(order)}")
    page.evaluate("window.isTheSamePage = true")
    _is(page, "live")
    asked: list[Route] = []
    reader.context.route(
        re.compile(r"/orders/[0-9a-f]{32}/(\?|$)"), lambda r: _first(r, asked, answer)
    )

    reader.context.set_offline(True)
    _is(page, "reconnecting")
    move(order.ref, "pay")
    call_command("new_epoch", stdout=io.StringIO())
    reader.context.set_offline(False)

    expect(page.get_by_role("heading", level=1)).to_have_text("Paid, thank you")
    assert len(asked) == 2
    assert page.evaluate("window.isTheSamePage")


def test_a_board_comes_back_by_itself(proxy: Proxy, answer: bytes, reader: Reader) -> None:
    log_in(reader, f"http://127.0.0.1:{proxy.port}", User.objects.create_superuser("rosa"))
    page = reader.open(f"http://127.0.0.1:{proxy.port}/board/")
    page.evaluate("window.isTheSamePage = true")
    place = page.locator("[data-board-connection]")
    expect(place).to_have_attribute("data-board-connection", "live")

    proxy.answer_itself(answer)
    eventually(lambda: any("/board/ " in line for line in proxy.requests), 60)
    expect(place).to_have_attribute("data-board-connection", "away")
    an_order()
    proxy.heal()

    expect(page.locator("[data-tile=created] .number")).to_have_text("1")
    expect(place).to_have_attribute("data-board-connection", "live")
    assert page.evaluate("window.isTheSamePage")


@pytest.mark.parametrize("answer", [ANSWERS["404"]], ids=["404"])
def test_an_element_in_a_shops_page_comes_back_by_itself(
    proxy: Proxy, answer: bytes, reader: Reader, shop: Shop
) -> None:
    order = an_order_that_is("awaiting_payment")
    home = f"http://127.0.0.1:{proxy.port}"
    shop.pages["/"] = (
        f'<!doctype html><title>Shop</title><link rel="icon" href="data:,"><script type="module" '
        f'src="{home}/static/realtime/order-status.js"></script>'
        f'<order-status order="{order.ref}" grant="{access.issue_grant([order.ref])}"></order-status>'
    )
    page = reader.open(shop.origin)
    expect(page.get_by_text("Waiting for your payment")).to_be_visible()

    proxy.answer_itself(answer)
    eventually(lambda: len([1 for each in proxy.requests if order.ref in each]) > 3, 60)
    move(order.ref, "pay")
    proxy.heal()

    expect(page.get_by_text("Paid, thank you")).to_be_visible()


def test_the_page_of_a_forced_refresh_goes_on_by_itself(
    proxy: Proxy, answer: bytes, reader: Reader
) -> None:
    staff = User.objects.create_superuser("rosa")
    log_in(reader, f"http://127.0.0.1:{proxy.port}", staff)
    run = refresh_runs.want([an_order().pk], Cause(Source.STAFF, "rosa", "test"))
    page = reader.open(f"http://127.0.0.1:{proxy.port}/admin/orders/refreshrun/{run.pk}/change/")
    page.evaluate("window.isTheSamePage = true")

    proxy.answer_itself(answer)
    eventually(lambda: len([1 for each in proxy.requests if "/refreshrun/" in each]) > 3, 60)
    RefreshItem.objects.update(status="done", done_at=timezone.now())
    proxy.heal()

    expect(page.locator("#oc-run")).to_have_attribute("data-is-over", "true")
    assert page.evaluate("window.isTheSamePage")


def log_in(reader: Reader, home: str, user: User) -> None:
    client = Client()
    client.force_login(user)
    cookie = client.cookies["sessionid"].value
    reader.context.add_cookies([{"name": "sessionid", "value": cookie, "url": home}])


def _first(route: Route, asked: list[Route], answer: bytes) -> None:
    """The first one is answered by the proxy, all others by the server."""
    asked.append(route)
    if len(asked) > 1:
        route.continue_()
        return
    head, _, body = answer.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    route.fulfill(status=int(first.split()[1]), headers=headers, body=body)


def _is(page: Page, status: str) -> None:
    place = page.locator("[data-connection]")
    expect(place).to_have_attribute("data-connection", status)
