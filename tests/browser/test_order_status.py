"""`<order-status>` in a shop's own page: at another origin, with grants, under a strict policy of the shop's."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import translation
from playwright.sync_api import Page, WebSocketRoute, expect
from pytest_django import Settings

from orders import access
from orders.journal import queries
from orders.models import Order
from realtime.pages import texts
from tests.browser.axe import violations
from tests.browser.conftest import Reader
from tests.browser.shop import Shop
from tests.builders import an_order, an_order_that_is, move
from tests.realtime.serving import Server

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>My shop</title>
<meta name="color-scheme" content="light dark"><link rel="icon" href="{server}/static/realtime/icon.svg">
<script type="module" src="{server}/static/realtime/order-status.js"></script></head>
<body><main><h1>Thank you</h1>{elements}</main></body></html>"""
SOON = 10_000  # ms, for what a second try or a server's check may take


@pytest.fixture
def server(start_server: Callable[..., Server], settings: Settings, shop: Shop) -> Server:
    settings.ORDERCAST_ORIGINS = [shop.origin]
    server = start_server(check=0.1, access_check=0.1)
    wires = f"{server.url} {server.url.replace('http', 'ws')}"
    shop.policy = f"default-src 'none'; script-src {server.url}; img-src {server.url}; connect-src 'self' {wires}"
    return server


def grant(order: Order, **lifetime: float) -> str:
    return access.issue_grant([order.ref], timedelta(**lifetime or {"hours": 1}))


def element(order: Order, inside: str = "Your order is being read.", **attributes: str) -> str:
    given = {"order": order.ref, "grant": grant(order), **attributes}
    written = " ".join(f'{name}="{value}"' for name, value in given.items())
    return f"<order-status {written}>{inside}</order-status>"


def visit(reader: Reader, server: Server, shop: Shop, *elements: str) -> Page:
    """The shop's page; it keeps what its elements say in `window.changes`."""
    shop.pages["/"] = PAGE.format(server=server.url, elements="".join(elements))
    page = reader.new_page()
    page.add_init_script(
        """window.changes = [];
        addEventListener("order-change", ({ detail }) => changes.push([detail.version, detail.state]))"""
    )
    page.goto(shop.origin)
    return page


def is_live(page: Page, how: str = "live") -> None:
    """For every element of the page."""
    page.wait_for_function(
        "how => [...document.querySelectorAll('order-status')].every(({ stream }) => stream?.status === how)",
        arg=how,
        timeout=60_000,
    )


def test_a_shops_page_at_another_origin_shows_the_order_and_turns(
    server: Server, shop: Shop, reader: Reader
) -> None:
    order = an_order_that_is("awaiting_payment")
    page = visit(reader, server, shop, element(order))
    shown = page.locator("order-status")
    expect(shown.get_by_text("Waiting for your payment")).to_be_visible()
    expect(shown.get_by_text("€10.00")).to_be_visible()
    expect(shown.locator("[aria-current=step]")).to_have_text("Payment")
    is_live(page)

    move(order.ref, "pay")

    expect(shown.get_by_text("Paid, thank you")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("Paid, thank you")
    assert page.evaluate("changes") == [[2, "awaiting_payment"], [3, "paid"]]
    assert violations(page) == []


def test_all_elements_of_a_page_share_one_socket(
    server: Server, shop: Shop, reader: Reader
) -> None:
    orders = [an_order() for _ in range(3)]
    page = visit(reader, server, shop, *(element(order) for order in orders))
    is_live(page)

    move(orders[2].ref, "pay")

    expect(page.get_by_text("Paid, thank you")).to_have_count(1)
    assert len(reader.sockets) == 1


@pytest.mark.parametrize(("blocked", "how"), [("none", "live"), ("**/stream", "polling")])
def test_where_websockets_are_blocked_it_goes_on_over_http_from_another_origin(
    server: Server, shop: Shop, reader: Reader, blocked: str, how: str
) -> None:
    reader.expected = ["WebSocket", "ERR_FAILED"]
    reader.context.route_web_socket("**/ws/**", WebSocketRoute.close)
    reader.context.route(blocked, lambda route: route.abort())
    order = an_order_that_is("awaiting_payment")
    page = visit(reader, server, shop, element(order))
    is_live(page, how)

    move(order.ref, "pay")

    expect(page.get_by_text("Paid, thank you")).to_be_visible(timeout=SOON)
    assert page.evaluate("changes") == [[2, "awaiting_payment"], [3, "paid"]]


def test_a_site_that_is_not_named_sees_nothing(
    server: Server, shop: Shop, reader: Reader, settings: Settings
) -> None:
    reader.expected = [
        "WebSocket connection",
        "blocked by CORS policy",
        "ERR_FAILED",
        "403",
        "order-status",
    ]
    settings.ORDERCAST_ORIGINS = ["https://another.example"]
    with reader.context.expect_event(
        "requestfailed", predicate=lambda request: request.url.endswith("/stream"), timeout=SOON
    ):
        page = visit(reader, server, shop, element(an_order()))

    expect(page.get_by_text("Your order is being read.")).to_be_visible()
    why = f"ORDERCAST_ORIGINS of the Ordercast server has to name {shop.origin}"
    expect(page.get_by_text(why)).to_be_visible()
    expect(page.locator("order-status [part~=card]")).to_be_hidden()
    assert any(why in each for each in reader.complaints)
    assert page.evaluate("changes") == []


def test_a_grant_that_runs_out_is_renewed_and_the_other_elements_go_on(
    server: Server, shop: Shop, reader: Reader
) -> None:
    renewed, lapsing, lasting = an_order(), an_order(), an_order()
    shop.pages["/grant"] = lambda: grant(renewed)
    short = {"seconds": 2.0}
    page = visit(
        reader, server, shop,
        element(renewed, grant=grant(renewed, **short), id="renewed"),
        element(lapsing, grant=grant(lapsing, **short), id="lapsing"),
        element(lasting, id="lasting"),
    )  # fmt: skip
    page.evaluate(
        "document.getElementById('renewed').refreshToken = async () => (await fetch('/grant')).text()"
    )
    is_live(page)

    page.wait_for_function(
        "() => document.getElementById('lapsing').stream.status === 'stopped'", timeout=SOON
    )
    for order in (renewed, lapsing, lasting):
        move(order.ref, "pay")

    for name in ("renewed", "lasting"):
        expect(page.locator(f"#{name}").get_by_text("Paid, thank you")).to_be_visible(timeout=SOON)
    expect(page.locator("#lapsing").get_by_text("Ready for your payment")).to_be_visible()
    expect(page.locator("#lapsing").get_by_text("No longer updating")).to_be_visible()


def test_it_speaks_the_language_that_its_page_or_its_shop_asks_for(
    server: Server, shop: Shop, reader: Reader
) -> None:
    order = an_order_that_is("paid")
    with translation.override("de"):
        headline = str(texts.STATES["paid"].headline)

    page = visit(reader, server, shop, element(order, lang="de-AT"), element(order, lang="tlh"))

    first, second = page.locator("order-status").all()
    expect(first.locator("[part=headline]")).to_have_text(headline)
    expect(first.locator("[lang=de]")).to_be_visible()
    expect(second.get_by_text("Paid, thank you")).to_be_visible()


def test_what_the_shop_has_rendered_stays_until_there_is_something_newer(
    server: Server, shop: Shop, reader: Reader
) -> None:
    order = an_order_that_is("awaiting_payment")
    rendered = element(order, "The shop says: not yet paid.", cursor=f"{queries.epoch()}:2")
    page = visit(reader, server, shop, rendered)
    is_live(page)
    expect(page.get_by_text("The shop says: not yet paid.")).to_be_visible()
    assert page.evaluate("changes") == []

    move(order.ref, "pay")

    expect(page.get_by_text("Paid, thank you")).to_be_visible()
    assert "The shop says" not in page.locator("main").inner_text()
    assert page.evaluate("changes") == [[3, "paid"]]


def test_an_element_can_be_moved_and_given_another_order(
    server: Server, shop: Shop, reader: Reader
) -> None:
    first, second = an_order_that_is("paid"), an_order_that_is("failed")
    both = access.issue_grant([first.ref, second.ref])
    page = visit(reader, server, shop, element(first, grant=both), "<div id='there'></div>")
    expect(page.get_by_text("Paid, thank you")).to_be_visible()

    page.evaluate("document.getElementById('there').append(document.querySelector('order-status'))")
    expect(page.get_by_text("Paid, thank you")).to_be_visible()
    page.evaluate(
        "ref => document.querySelector('order-status').setAttribute('order', ref)", second.ref
    )

    expect(page.get_by_text("The payment did not go through")).to_be_visible()
    assert page.evaluate("changes") == [[2, "paid"], [3, "failed"]]


def test_a_shop_gives_it_its_own_colours_and_type(
    server: Server, shop: Shop, reader: Reader
) -> None:
    page = visit(reader, server, shop, element(an_order_that_is("paid")))
    expect(page.get_by_text("Paid, thank you")).to_be_visible()

    page.evaluate(
        """() => {
          const sheet = new CSSStyleSheet();
          sheet.replaceSync(`
            order-status { --order-status-background: rgb(1, 2, 3); --order-status-color: rgb(9, 9, 9) }
            order-status::part(headline) { font-style: italic }`);
          document.adoptedStyleSheets = [sheet];
        }"""
    )

    card, headline = page.locator("[part~=card]"), page.locator("[part=headline]")
    expect(card).to_have_css("background-color", "rgb(1, 2, 3)")
    expect(card).to_have_css("color", "rgb(9, 9, 9)")
    expect(headline).to_have_css("font-style", "italic")


def test_the_demo_has_an_example_of_such_a_page(server: Server, reader: Reader) -> None:
    page = reader.open(f"{server.url}/embed/")
    is_live(page)

    expect(page.locator("order-status [part=amount]")).to_have_count(3)
    assert violations(page) == []
