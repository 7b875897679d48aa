"""The staff board in a real Chromium: it moves when orders move, whatever is away."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, expect

from orders.models import Order
from realtime.board import stream, views
from realtime.board.board import Board
from realtime.hub import latency
from tests.browser.axe import violations
from tests.browser.conftest import Reader
from tests.browser.staff import log_in
from tests.builders import a_payment, an_order, an_order_that_is, move
from tests.orders.staff import LIST, flagged
from tests.realtime.conftest import NEVER
from tests.realtime.serving import Server
from tests.waiting import eventually

pytestmark = pytest.mark.browser

Start = Callable[..., Server]


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's board knows nothing of the test before."""
    fresh = Board()
    for module in (views, stream):
        monkeypatch.setattr(module, "board", fresh)


@pytest.fixture
def server(start_server: Start, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(latency, "noted", latency.Lateness())  # of this server alone
    return start_server(check=0.2)


@pytest.fixture
def staff(chromium: Browser, server: Server) -> Iterator[Reader]:
    yield from _staff(chromium, server)


def _staff(chromium: Browser, server: Server) -> Iterator[Reader]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    log_in(context, server, User.objects.create_superuser("rosa"))
    reader = Reader(context)
    yield reader
    context.close()
    assert reader.surprises == []


def number(page: Page, tile: str) -> str:
    return page.locator(f"[data-tile={tile}] .number").inner_text()


def shows(page: Page, tile: str, count: int) -> None:
    expect(page.locator(f"[data-tile={tile}] .number")).to_have_text(str(count))


def is_live(page: Page, how: str = "live") -> None:
    place = page.locator("[data-board-connection]")
    expect(place).to_have_attribute("data-board-connection", how)


def test_the_board_moves_when_an_order_moves(server: Server, staff: Reader) -> None:
    order = an_order_that_is("processing")
    page = staff.open(f"{server.url}/board/")
    page.evaluate("window.isTheSamePage = true")
    is_live(page)
    shows(page, "processing", 1)

    move(order.ref, "pay")

    shows(page, "processing", 0)
    paid = page.locator("#board-closed tr", has_text="Paid")
    expect(paid.locator("td").first).to_have_text("1")
    assert page.evaluate("window.isTheSamePage")


def test_what_needs_a_person_comes_up_with_a_way_to_it(server: Server, staff: Reader) -> None:
    order = an_order_that_is("paid")
    page = staff.open(f"{server.url}/board/")
    is_live(page)
    shows(page, "flagged", 0)

    flagged(order)
    shows(page, "flagged", 1)
    expect(page.locator("[data-announce]")).to_contain_text("Flagged: 1")
    page.get_by_role("link", name=f"{order.ref[:8]}…").click()

    expect(page).to_have_url(f"{server.url}{LIST}{order.pk}/change/")


@pytest.mark.parametrize(
    ("tile", "shown"), [("flagged", True), ("overdue", True), ("awaiting_payment", False)]
)
def test_each_tile_leads_to_its_orders(
    server: Server, staff: Reader, tile: str, shown: bool
) -> None:
    order = flagged(an_order_that_is("paid"))
    a_payment(order, "pending", next_check_at="2020-01-01T00:00:00Z")
    an_order_that_is("awaiting_payment")
    page = staff.open(f"{server.url}/board/")

    page.locator(f"[data-tile={tile}]").click()

    found = page.locator("#result_list tbody tr")
    expect(found).to_have_count(1)
    assert found.get_by_text(f"{order.ref[:8]}…").is_visible() is shown


def test_the_board_is_live_while_valkey_is_away(chromium: Browser, start_server: Start) -> None:
    server = start_server("redis://127.0.0.1:1/0", check=NEVER)
    for reader in _staff(chromium, server):
        page = reader.open(f"{server.url}/board/")
        is_live(page)

        an_order()

        shows(page, "created", 1)
        valkey = page.locator("#board-parts li", has_text="Valkey")
        expect(valkey).to_contain_text("unavailable")


def test_where_no_stream_comes_through_the_board_asks(server: Server, staff: Reader) -> None:
    staff.expected.append("board/stream|Failed to load resource")
    staff.context.route("**/board/stream", lambda route: route.abort())
    page = staff.open(f"{server.url}/board/")
    is_live(page, "away")

    an_order()

    shows(page, "created", 1)


def test_an_open_board_ends_with_its_log_in(server: Server, staff: Reader) -> None:
    staff.expected.append("401")
    page = staff.open(f"{server.url}/board/")
    is_live(page)

    Session.objects.all().delete()

    expect(page).to_have_url(f"{server.url}/login/?next=/board/")


def test_the_charts_are_drawn_and_told_as_a_table(server: Server, staff: Reader) -> None:
    an_order_that_is("paid")
    page = staff.open(f"{server.url}/board/")
    is_live(page)
    expect(page.locator("[data-chart] canvas")).to_have_count(2)

    page.get_by_text("Show as a table").click()

    rows = page.locator("#board-minutes tbody tr")
    expect(rows).to_have_count(60)
    told = sum(int(cell) for cell in rows.locator("td:nth-child(4)").all_inner_texts())
    assert told == 2
    assert page.evaluate(_DRAWN) > 20


# How many dots of the first chart have the colour of what comes from the shop, staff and Ordercast.
_DRAWN = """() => {
  const canvas = document.querySelector("[data-chart=events] canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) found += data[i] === 0x64 && data[i + 1] === 0x74 && data[i + 2] === 0x8b;
  return found;
}"""


def test_the_time_to_page_is_what_a_watched_order_took(server: Server, staff: Reader) -> None:
    order = an_order_that_is("processing")
    watching = staff.open(f"{server.url}/orders/{order.ref}/")
    expect(watching.locator("[data-connection]")).to_have_attribute("data-connection", "live")

    move(order.ref, "pay")
    expect(watching.get_by_role("heading", level=1)).to_have_text("Paid, thank you")
    page = staff.open(f"{server.url}/board/")

    page.get_by_text("Show as a table").click()
    measured = page.locator("#board-minutes tbody td:nth-child(6)").all_inner_texts()
    assert len([each for each in measured if each != "–"]) == 1


def test_without_script_the_board_is_right_and_loads_itself_anew(
    server: Server, chromium: Browser
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    log_in(context, server, User.objects.create_superuser("rosa"))
    an_order_that_is("failed")
    page = context.new_page()
    page.goto(f"{server.url}/board/")

    assert number(page, "failed") == "1"
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in page.content()
    expect(page.locator("[data-chart=events]")).to_be_hidden()
    context.close()


def test_axe_has_nothing_against_the_board(server: Server, staff: Reader) -> None:
    order: Order = flagged(an_order_that_is("paid"))
    a_payment(order, "pending", next_check_at="2020-01-01T00:00:00Z")
    page = staff.open(f"{server.url}/board/")
    is_live(page)
    page.get_by_text("Show as a table").click()

    # The choice of language stands on every page, and is looked at with the customers'.
    assert violations(page, exclude=[".languages"]) == []


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_of_the_board_is_wider_than_the_screen(
    server: Server, staff: Reader, width: int
) -> None:
    flagged(an_order_that_is("paid"))
    page = staff.open(f"{server.url}/board/")
    is_live(page)

    page.set_viewport_size({"width": width, "height": 800})

    eventually(lambda: page.evaluate("document.documentElement.scrollWidth") <= width)
