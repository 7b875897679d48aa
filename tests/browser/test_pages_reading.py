"""What a reader of the pages meets beside their being live: languages, directions, paper, keys and small screens."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, expect

from orders.domain.events import (
    CancellationRequested,
    LatePaymentReceived,
    PaymentCaptured,
    RefundChanged,
    RefundFailed,
    RefundRequested,
)
from tests.browser.conftest import Reader
from tests.browser.opening import address, log_in
from tests.builders import an_order, an_order_that_is, move
from tests.realtime.pages.reading import in_stream
from tests.realtime.serving import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """Finds what has happened by its position check alone: no worker runs here."""
    return start_server(check=0.1)


@pytest.fixture
def german(chromium: Browser) -> Iterator[Reader]:
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, timezone_id="Europe/Berlin", locale="de-DE"
    )
    reader = Reader(context)
    yield reader
    context.close()
    assert reader.surprises == []


def is_live(page: Page) -> None:
    expect(page.locator('[data-connection="live"]')).to_be_visible()


def headline(page: Page, words: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(words)


def test_the_page_turns_in_german(server: Server, german: Reader) -> None:
    order = an_order_that_is("processing")
    page = german.open(address(server, order))
    headline(page, "Ihre Bank bestätigt die Zahlung")
    is_live(page)

    move(order.ref, "pay")

    headline(page, "Bezahlt – vielen Dank")
    newest = page.locator("[data-timeline] li").first
    expect(newest).to_contain_text("Zahlung eingegangen")
    expect(newest).to_contain_text("10,00\xa0€")
    assert "You" not in page.inner_text("body")


def test_the_switch_in_the_footer_turns_the_page_over_and_keeps_it(
    server: Server, german: Reader
) -> None:
    page = german.open(address(server, an_order_that_is("paid")))
    here = page.url

    page.get_by_role("button", name="Русский").click()

    headline(page, "Оплачено, спасибо")
    assert page.url == here
    page.reload()
    headline(page, "Оплачено, спасибо")


@pytest.mark.parametrize("state", ["awaiting_payment", "failed", "partially_refunded"])
def test_from_right_to_left_nothing_is_wider_than_the_smallest_screen(
    server: Server, reader: Reader, state: str
) -> None:
    page = reader.open(address(server, an_order_that_is(state)))
    page.set_viewport_size({"width": 320, "height": 640})
    is_live(page)

    page.evaluate("document.documentElement.dir = 'rtl'")

    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    # The brand stands where reading begins, and each amount at the other end of its line.
    brand, amount = page.locator(".brand"), page.locator("[data-timeline] .detail").last
    assert middle(brand) > 160 > middle(amount)


@pytest.mark.parametrize("language", ["de", "ru", "zh-CN"])
@pytest.mark.parametrize("path", ["order", "receipt", "orders"])
def test_no_language_is_wider_than_the_smallest_screen(
    server: Server, reader: Reader, language: str, path: str
) -> None:
    user = User.objects.create_user("owner")
    order = an_order(999_999_999, "KWD", customer_id=user.pk)
    move(order.ref, "pay", PaymentCaptured(payment="p1", amount=order.total, captured=order.total))
    log_in(reader, server, user)
    reader.context.set_extra_http_headers({"Accept-Language": language})
    where = {
        "order": address(server, order),
        "receipt": address(server, order, "receipt/"),
        "orders": f"{server.url}/orders/",
    }
    page = reader.new_page()
    page.set_viewport_size({"width": 320, "height": 640})

    page.goto(where[path])

    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_on_paper_stand_the_amounts_and_no_buttons(server: Server, reader: Reader) -> None:
    page = reader.open(address(server, an_order_that_is("failed")))
    is_live(page)

    page.emulate_media(media="print")

    expect(page.get_by_text("€10.00").first).to_be_visible()
    expect(page.get_by_text("Payment not completed")).to_be_visible()
    for hidden in ("button", ".connection", ".foot", ".icon"):
        assert not any(each.is_visible() for each in page.locator(hidden).all()), hidden


def test_paper_names_the_day_of_each_time(server: Server, reader: Reader) -> None:
    page = reader.open(address(server, an_order_that_is("paid")))
    is_live(page)
    time = page.locator("[data-timeline] time").first
    year = str(timezone.now().year)
    before = time.inner_text()

    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    printed = time.inner_text()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")

    assert year not in before
    assert year in printed
    assert time.inner_text() == before


def test_a_printed_receipt_holds_each_sum_and_the_button_prints(
    server: Server, reader: Reader
) -> None:
    page = reader.open(address(server, an_order_that_is("partially_refunded")))
    page.get_by_role("link", name="Printable receipt").click()
    headline(page, "Receipt")
    page.evaluate("window.print = () => { window.hasPrinted = true; }")

    page.get_by_role("button", name="Print").click()
    page.emulate_media(media="print")

    assert page.evaluate("window.hasPrinted")
    rows = page.locator("tbody tr, tfoot tr").all_inner_texts()
    assert [row.split()[-1] for row in rows] == ["€10.00", "−€3.00", "€7.00"]
    expect(page.get_by_role("link", name="Back to the order")).to_be_hidden()


def test_refunds_that_were_followed_look_as_if_they_were_loaded_anew(
    server: Server, reader: Reader
) -> None:
    order = an_order_that_is("paid")
    page = reader.open(address(server, order))
    is_live(page)
    refund = {"payment": "p1", "refund": "r"}

    in_stream(order, RefundRequested(**refund, amount=300))
    expect(page.locator("[data-refund=sent]")).to_have_count(1)
    move(order.ref, "refund_changed", RefundChanged(payment="p1", refunded=350))
    in_stream(
        order,
        RefundRequested(**refund, amount=200),
        RefundRequested(**refund, amount=100),
        RefundFailed(**refund, amount=200),
    )
    expect(page.locator("[data-refund=failed]")).to_have_count(1)

    anew = reader.open(address(server, order))
    is_live(anew)
    lines = [
        ["€3.00", "Sent back"], ["€0.50", "Sent back"], ["€2.00", "Did not go through"], ["€1.00", "On its way"],
    ]  # fmt: skip
    for each in (page, anew):
        found = each.locator("[data-refund]").all_inner_texts()
        assert [line.split("\n")[:2] for line in found] == lines


def test_money_that_comes_too_late_turns_the_closed_page(server: Server, reader: Reader) -> None:
    order = an_order_that_is("cancelled")
    page = reader.open(address(server, order))
    is_live(page)

    in_stream(order, LatePaymentReceived(payment="p1", amount=1_000, captured=1_000))
    headline(page, "Your payment arrived too late")
    in_stream(order, RefundChanged(payment="p1", refunded=1_000))

    headline(page, "Your payment was sent back")


def test_a_cancellation_that_waits_turns_my_orders_too(server: Server, reader: Reader) -> None:
    user = User.objects.create_user("owner")
    order = an_order(customer_id=user.pk)
    move(order.ref, "start")
    log_in(reader, server, user)
    page = reader.open(f"{server.url}/orders/")
    is_live(page)

    in_stream(order, CancellationRequested())

    expect(page.locator("[data-short]")).to_have_text("Being cancelled")


def test_the_order_number_is_copied_whole(server: Server, reader: Reader) -> None:
    reader.context.grant_permissions(["clipboard-read", "clipboard-write"])
    order = an_order()
    page = reader.open(address(server, order))

    page.get_by_role("button", name="Copy").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == order.ref
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)


@pytest.mark.parametrize(
    ("left", "said"),
    [(timedelta(minutes=12, seconds=30), "(in 13 minutes)"), (timedelta(hours=3), "")],
)
def test_the_time_left_is_told_only_when_it_is_short(
    server: Server, reader: Reader, left: timedelta, said: str
) -> None:
    order = an_order(expires_in=int(left.total_seconds()))

    page = reader.open(address(server, order))

    expect(page.locator("[data-left]")).to_have_text(said)


def test_everything_is_reached_by_keys_and_seen_to_be(server: Server, reader: Reader) -> None:
    page = reader.open(address(server, an_order_that_is("failed")))
    is_live(page)
    reached = []

    for _ in range(8):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        reached.append(focused.inner_text().strip())
        style = focused.evaluate("each => getComputedStyle(each).outlineStyle")
        assert style != "none", reached[-1]

    assert reached == [
        "Skip to content", "Ordercast", "Pay again", "Copy", "English", "Deutsch", "简体中文", "Русский",
    ]  # fmt: skip


def middle(element: Locator) -> float:
    box = element.bounding_box()
    assert box
    return float(box["x"] + box["width"] / 2)
