"""Paying, as a customer does it: from the order page to the sandbox's checkout and back, by real callbacks."""

import re
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from orders import access
from orders.access.links import page_url
from orders.models import Order
from orders.payments import registry
from orders.payments.house import House
from tests.browser.axe import violations
from tests.browser.conftest import Reader
from tests.browser.listening import journal
from tests.builders import an_order
from tests.realtime.serving import Server
from tests.sandbox import SandboxProcess, start_sandbox

pytestmark = pytest.mark.browser

AT_THE_CHECKOUT = re.compile(r"^Pay .*12\.50")
CALLBACK = 10_000  # ms, for a callback to come


@pytest.fixture(scope="module")
def provider_process() -> Iterator[SandboxProcess]:
    running = start_sandbox()
    yield running
    running.close()


@pytest.fixture
def order(
    provider_process: SandboxProcess, start_server: Callable[..., Server], settings: Settings
) -> Iterator[Order]:
    """An order of a shop whose provider is the sandbox, and whose callbacks arrive."""
    house = {**settings.ORDERCAST_PROVIDERS["house"], "url": provider_process.url, "timeout": 5.0}
    house |= {"key": provider_process.key, "webhook_secrets": [provider_process.secret]}
    settings.ORDERCAST_PROVIDERS = {"house": house}
    registry.cache_clear()
    settings.ORDERCAST_PUBLIC_URL = start_server(check=0.1).url
    yield an_order(total=1_250, metadata={"title": "Two bags of coffee"})
    cast("House", registry.get("house")).close()
    registry.cache_clear()


def page_of(order: Order, reader: Reader) -> Page:
    page = reader.open(page_url(order.ref, access.issue_grant([order.ref])))
    expect(page.locator("[data-connection=live]")).to_be_visible()
    return page


def test_who_pays_at_the_checkout_sees_the_page_turn_and_the_other_tab_with_it(
    order: Order, reader: Reader
) -> None:
    paying, watching = page_of(order, reader), page_of(order, reader)
    watching.evaluate("window.isTheSamePage = true")

    paying.get_by_role("button", name="Pay now").click()
    expect(watching.get_by_role("heading", level=1)).to_have_text("Waiting for your payment")
    paying.get_by_role("button", name=AT_THE_CHECKOUT).click()

    for page in (paying, watching):
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "Paid, thank you", timeout=CALLBACK
        )
        assert _shown(page) == [version for version, *_ in journal(order)]
    assert paying.url.startswith(page_url(order.ref))
    assert watching.evaluate("window.isTheSamePage")
    assert violations(watching) == []


def test_who_is_declined_may_pay_again_and_the_page_says_so(order: Order, reader: Reader) -> None:
    page = page_of(order, reader)

    page.get_by_role("button", name="Pay now").click()
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "The payment did not go through", timeout=CALLBACK
    )
    page.get_by_role("button", name="Pay again").click()
    page.get_by_role("button", name=AT_THE_CHECKOUT).click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Paid, thank you", timeout=CALLBACK)


def _shown(page: Page) -> list[int]:
    """The versions in the page's own history, oldest first."""
    found = page.locator("[data-timeline] li").evaluate_all(
        "items => items.map(item => +item.dataset.version)"
    )
    return list(reversed(found))
