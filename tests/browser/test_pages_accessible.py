"""Every page that customers see, in every state, judged by axe-core: light and dark, at 320 px and on a desk."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from orders.domain.events import (
    CancellationRequested,
    LatePaymentReceived,
    OrderFlagged,
    RefundFailed,
    RefundRequested,
)
from orders.domain.states import State
from orders.models import Order
from tests.browser.axe import WIDTHS, violations
from tests.browser.conftest import Reader
from tests.browser.opening import address, log_in
from tests.builders import an_order, an_order_that_is
from tests.realtime.pages.reading import in_stream
from tests.realtime.serving import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(check=0.1)


def cancelling() -> Order:
    order = an_order_that_is("awaiting_payment")
    in_stream(order, CancellationRequested())
    return order


def late() -> Order:
    order = an_order_that_is("expired")
    in_stream(order, LatePaymentReceived(payment="p1", amount=1_000, captured=1_000))
    return order


def reviewed() -> Order:
    order = an_order_that_is("awaiting_payment")
    in_stream(order, OrderFlagged(reason="mismatch", detail=""))
    return order


def refunds_of_every_kind() -> Order:
    order = an_order_that_is("partially_refunded")
    refund = {"payment": "p1", "refund": "r"}
    in_stream(
        order,
        RefundRequested(**refund, amount=200),
        RefundFailed(**refund, amount=200),
        RefundRequested(**refund, amount=100),
    )
    return order


SHOWN: dict[str, Callable[[], Order]] = {
    **{state: (lambda state=state: an_order_that_is(state)) for state in State},  # type: ignore[misc]
    "cancelling": cancelling,
    "late": late,
    "review": reviewed,
    "refunds": refunds_of_every_kind,
}
# Those that have the most on them: the others have nothing on a desk that these have not.
MOST = {"refunds", "review"}


def is_live(page: Page) -> None:
    expect(page.locator('[data-connection="live"]')).to_be_visible()


@pytest.mark.parametrize("name", SHOWN)
def test_an_order_page_breaks_no_rule_in_any_state(
    server: Server, reader: Reader, name: str
) -> None:
    page = reader.open(address(server, SHOWN[name]()))
    is_live(page)
    widths = WIDTHS if name in MOST else WIDTHS[:1]

    assert violations(page, widths=widths) == []


def test_a_receipt_breaks_no_rule(server: Server, reader: Reader) -> None:
    page = reader.open(address(server, an_order_that_is("partially_refunded"), "receipt/"))

    assert violations(page) == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_my_orders_break_no_rule(server: Server, reader: Reader, language: str) -> None:
    user = User.objects.create_user("owner")
    for total in (1_000, 999_999):
        an_order(total, customer_id=user.pk)
    log_in(reader, server, user)
    reader.context.set_extra_http_headers({"Accept-Language": language})
    page = reader.open(f"{server.url}/orders/")
    is_live(page)

    assert violations(page) == []


@pytest.mark.parametrize("path", ["/", "/login/", "/orders/nothing/", "/nothing/"])
def test_the_pages_around_break_no_rule(server: Server, reader: Reader, path: str) -> None:
    reader.expected.append(
        "404"
    )  # a browser says in its console that it got a page with this status
    page = reader.open(f"{server.url}{path}")

    assert violations(page) == []


def test_a_log_in_that_failed_breaks_no_rule(server: Server, reader: Reader) -> None:
    page = reader.open(f"{server.url}/login/")
    page.fill("#id_username", "owner")
    page.fill("#id_password", "open barley")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()

    assert violations(page) == []
