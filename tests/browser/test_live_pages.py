"""The order page in a real Chromium, served by a real web process."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Page, WebSocketRoute, expect

from orders import access
from orders.access.links import page_url
from orders.models import Order
from tests.browser.conftest import Reader
from tests.builders import EVENTS, a_payment, an_order, an_order_that_is, move, tell
from tests.realtime.serving import Server
from tests.waiting import eventually

pytestmark = pytest.mark.browser

OPEN = 1_500  # ms until the page must have turned; the position check runs every 100 ms here


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """Finds what has happened by its position check alone: no worker runs here."""
    return start_server(check=0.1)


def address(server: Server, order: Order) -> str:
    return page_url(order.ref, access.issue_grant([order.ref])).replace(
        "http://127.0.0.1:8000", server.url
    )


def shown(page: Page) -> list[str]:
    return page.locator("#order section").all_inner_texts()


def is_live(page: Page, how: str = "live") -> None:
    expect(page.locator("[data-connection]")).to_have_attribute(
        "data-connection", how, timeout=60_000
    )


def versions(page: Page) -> list[int]:
    """What the page's own history says has happened, oldest first."""
    found = page.locator("[data-timeline] li").evaluate_all(
        "items => items.map(item => +item.dataset.version)"
    )
    return list(reversed(found))


def turns(page: Page, words: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(words, timeout=OPEN)


def test_the_page_turns_to_paid_without_a_reload(server: Server, reader: Reader) -> None:
    order = an_order_that_is("awaiting_payment")
    payment = a_payment(order, "pending")
    page = reader.open(address(server, order))
    page.evaluate("window.isTheSamePage = true")
    turns(page, "Waiting for your payment")
    is_live(page)

    tell(payment, "captured")

    turns(page, "Paid, thank you")
    expect(page.locator("[data-action]")).to_be_hidden()
    expect(page).to_have_title(f"Paid, thank you · Order {order.ref[:8]}")
    assert page.evaluate("window.isTheSamePage")
    assert reader.complaints == []


def test_what_was_followed_looks_as_if_it_were_loaded_anew(server: Server, reader: Reader) -> None:
    order = an_order_that_is("created")
    page = reader.open(address(server, order))
    is_live(page)

    for name in ("start", "process", "fail", "start", "authorise", "pay", "refund_changed"):
        move(order.ref, name, EVENTS[name])
    turns(page, "Partly refunded")

    anew = reader.open(address(server, order))
    assert shown(page) == shown(anew)
    assert versions(page) == list(range(1, 9))
    assert page.inner_html(".facts") == anew.inner_html(".facts")
    assert page.inner_html("[data-steps]") == anew.inner_html("[data-steps]")


def test_two_tabs_turn_together(server: Server, reader: Reader) -> None:
    order = an_order_that_is("processing")
    tabs = [reader.open(address(server, order)) for _ in range(2)]
    for tab in tabs:
        is_live(tab)

    move(order.ref, "pay")

    for tab in tabs:
        turns(tab, "Paid, thank you")


def test_offline_and_back_misses_nothing_and_shows_nothing_twice(
    server: Server, reader: Reader
) -> None:
    reader.expected = ["ERR_INTERNET_DISCONNECTED"]
    order = an_order_that_is("created")
    page = reader.open(address(server, order))
    is_live(page)

    reader.context.set_offline(True)
    is_live(page, "reconnecting")
    for name in ("start", "process", "pay"):
        move(order.ref, name)
    reader.context.set_offline(False)

    expect(page.get_by_role("heading", level=1)).to_have_text("Paid, thank you")
    is_live(page)
    assert versions(page) == [1, 2, 3, 4]


def test_without_websockets_the_page_is_live_all_the_same(server: Server, reader: Reader) -> None:
    reader.context.route_web_socket("**/ws/**", WebSocketRoute.close)
    order = an_order_that_is("awaiting_payment")
    page = reader.open(address(server, order))
    is_live(page)

    move(order.ref, "pay")

    turns(page, "Paid, thank you")


def test_where_nothing_streams_the_page_polls_and_says_so(server: Server, reader: Reader) -> None:
    reader.context.route_web_socket("**/ws/**", WebSocketRoute.close)
    reader.context.route("**/stream", lambda route: route.abort())
    reader.expected = ["ERR_FAILED"]
    order = an_order_that_is("awaiting_payment")
    page = reader.open(address(server, order))
    is_live(page, "polling")

    move(order.ref, "pay")

    expect(page.get_by_role("heading", level=1)).to_have_text("Paid, thank you")
    expect(page.get_by_text("Checking every few seconds")).to_be_visible()


def test_without_script_the_page_is_right_and_refreshes_itself(
    server: Server, reader_without_script: Reader
) -> None:
    order = an_order_that_is("awaiting_payment")
    page = reader_without_script.open(address(server, order))

    # Chromium under Playwright runs no script, and shows nothing of <noscript> all the same.
    assert '<noscript><meta http-equiv="refresh" content="20"></noscript>' in page.content()
    expect(page.get_by_role("button", name="Continue to payment")).to_be_visible()
    expect(page.locator("time").first).to_contain_text("UTC")

    move(order.ref, "pay")
    page.reload()

    turns(page, "Paid, thank you")


def test_times_are_in_the_readers_own_zone(server: Server, reader: Reader) -> None:
    order = an_order_that_is("paid")
    page = reader.open(address(server, order))
    is_live(page)

    title = page.locator("[data-timeline] time").first.get_attribute("title")

    assert title is not None
    assert title.endswith(("CET", "CEST", "GMT+1", "GMT+2"))


def test_a_screen_reader_hears_where_it_ended_and_not_each_step(
    server: Server, reader: Reader
) -> None:
    order = an_order_that_is("created")
    page = reader.open(address(server, order))
    is_live(page)
    page.evaluate(
        """() => {
          window.said = [];
          const place = document.querySelector("[data-announce]");
          new MutationObserver(() => window.said.push(place.textContent)).observe(place, { childList: true });
        }"""
    )

    for name in ("start", "process", "pay"):
        move(order.ref, name)
    eventually(lambda: page.evaluate("window.said.length"))

    said = page.evaluate("window.said")
    assert [words.split(".")[0] for words in said] == ["Paid, thank you"]


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_screen(server: Server, reader: Reader, width: int) -> None:
    long_name = "Donaudampfschifffahrtsgesellschaftskapitänsmütze " * 2
    order = an_order(total=999_999_999_999, currency="KWD", metadata={"title": long_name})
    page = reader.open(address(server, order))
    page.set_viewport_size({"width": width, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_order_in_my_list_turns_too(server: Server, reader: Reader) -> None:
    user = User.objects.create_user("owner")
    client = Client()
    client.force_login(user)
    cookie = client.cookies["sessionid"].value
    reader.context.add_cookies([{"name": "sessionid", "value": cookie, "url": server.url}])
    order = an_order(customer_id=user.pk)
    page = reader.open(f"{server.url}/orders/")
    row = page.locator(f"[data-order='{order.ref}'] [data-short]")
    expect(row).to_have_text("To be paid")

    move(order.ref, "pay")

    expect(row).to_have_text("Paid")
    assert reader.complaints == []
