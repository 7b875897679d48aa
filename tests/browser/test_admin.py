"""The admin in a real Chromium: a forced refresh that turns the customer's page, and pages that everybody can use."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django import Settings

from orders import access
from orders.admin import refreshes
from orders.models import CallbackReceipt, Order, RefreshRun
from tests.browser.axe import violations
from tests.browser.conftest import Reader
from tests.browser.staff import log_in, worker
from tests.builders import a_payment, an_order, an_order_that_is
from tests.orders.staff import LIST, RECEIPTS, begun, flagged
from tests.realtime.serving import Server
from tests.sandbox import SandboxProcess
from tests.workers.conftest import provider, provider_process
from workers import schedule

__all__ = ["provider", "provider_process", "worker"]
pytestmark = pytest.mark.browser

# Django names none of the two fields of a date and time; and where we have no list of our own its search has no label.
DJANGO = (".datetime", "#changelist-search")


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(check=0.2)


@pytest.fixture
def rosa(chromium: Browser, server: Server) -> Iterator[Reader]:
    """Staff, at a desk, who may do everything."""
    context: BrowserContext = chromium.new_context(viewport={"width": 1280, "height": 900})
    log_in(context, server, User.objects.create_superuser("rosa"))
    reader = Reader(context)
    yield reader
    context.close()
    assert reader.surprises == []


def customers_page(server: Server, order: Order) -> str:
    return f"{server.url}/orders/{order.ref}/?grant={access.issue_grant([order.ref])}"


def choose(page: Page, server: Server, action: str, *orders: Order) -> None:
    """As staff do: tick the orders in the list, choose the action, and say why."""
    page.goto(f"{server.url}{LIST}")
    for order in orders:
        page.locator(f"input[name=_selected_action][value='{order.pk}']").check()
    page.get_by_label("Action:").select_option(label=action)
    page.get_by_role("button", name="Go").click()
    page.get_by_label("Reason").fill("she says she paid")
    page.get_by_role("button", name=action).click()


def test_a_forced_refresh_turns_the_customers_page(
    server: Server, reader: Reader, rosa: Reader, worker: None, provider: SandboxProcess
) -> None:
    order = an_order()
    payment = begun(order)
    provider.act(payment.provider_ref, "pay")  # and nobody hears the callback
    watched = reader.open(customers_page(server, order))
    expect(watched.get_by_role("heading", level=1)).to_have_text("Waiting for your payment")

    page = rosa.new_page()
    choose(page, server, "Force refresh from provider", order)

    expect(page.get_by_text("Applied")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("The order has been checked.")
    expect(watched.get_by_role("heading", level=1)).to_have_text("Paid, thank you")


def test_the_page_of_a_run_fills_as_the_worker_goes_on(
    server: Server, rosa: Reader, worker: None, provider: SandboxProcess
) -> None:
    orders = [an_order() for _ in range(6)]
    for order in orders:
        provider.act(begun(order).provider_ref, "pay")
    provider.set_faults({"fault": "answer_slow", "seconds": 1.0, "count": 6})
    page = rosa.new_page()
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
          const says = document.querySelector("#oc-how-far [role=status]");
          if (!says) return;
          window.said = [says.textContent];
          const hear = () => window.said.push(says.textContent);
          new MutationObserver(hear).observe(says, { childList: true, subtree: true });
        })"""
    )

    choose(page, server, "Force refresh from provider", *orders)

    expect(page.get_by_role("status")).to_have_text("All 6 orders have been checked.")
    expect(page.locator("[data-status=done]")).to_have_count(6)
    said = page.evaluate("window.said")
    assert said[0] == "0 of 6 checked."
    assert len(said) > 2  # it was seen to grow


def test_without_a_worker_the_page_offers_to_ask_from_here(
    server: Server, rosa: Reader, provider: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshes, "SLOW", 0)
    order = an_order()
    provider.act(begun(order).provider_ref, "pay")
    page = rosa.new_page()
    choose(page, server, "Force refresh from provider", order)

    page.get_by_role("button", name="Check now").click()

    expect(page.get_by_text("Applied")).to_be_visible()
    expect(page.get_by_role("button", name="Check now")).to_have_count(0)


def test_without_script_the_page_of_a_run_loads_itself_anew(
    server: Server, chromium: Browser, provider: SandboxProcess
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    log_in(context, server, User.objects.create_superuser("rosa"))
    order = an_order()
    begun(order)
    page = context.new_page()
    choose(page, server, "Force refresh from provider", order)

    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page.content()
    expect(page.get_by_role("status")).to_have_text("0 of 1 checked.")
    context.close()


def test_what_leads_to_an_order_leads_back(server: Server, rosa: Reader) -> None:
    order = an_order_that_is("paid")
    payment = a_payment(order, "captured")
    CallbackReceipt.objects.create(
        provider="house", event_id="evt_1", kind="payment.captured", payment=payment, body="{}", outcome="applied"
    )  # fmt: skip
    page = rosa.open(f"{server.url}{LIST}{order.pk}/change/")

    page.get_by_role("link", name="payment.captured").last.click()
    page.get_by_role("link", name=f"{payment.ref[:8]}…").click()
    page.get_by_role("link", name=f"{order.ref[:8]}…").click()

    expect(page).to_have_url(f"{server.url}{LIST}{order.pk}/change/")


@pytest.mark.parametrize(
    "path",
    [
        LIST,
        f"{LIST}?review=yes",
        f"{LIST}{{order}}/change/",
        RECEIPTS,
        f"{RECEIPTS}{{receipt}}/change/",
        "/admin/orders/refreshrun/{run}/change/",
        "/admin/orders/auditentry/",
        "/admin/orders/payment/",
        "/admin/orders/orderevent/{event}/change/",
        "/admin/orders/payment/{payment}/change/",
    ],
)
def test_axe_has_nothing_against_our_part_of_the_admin(
    server: Server, rosa: Reader, provider: SandboxProcess, path: str
) -> None:
    order = flagged(an_order())
    payment = begun(order)
    receipt = CallbackReceipt.objects.create(
        provider="house", event_id="evt_1", payment=payment, body="{}", outcome="applied"
    )
    page = rosa.new_page()
    choose(page, server, "Force refresh from provider", order)
    run = RefreshRun.objects.get()

    keys = {"order": order.pk, "receipt": receipt.pk, "run": run.pk, "payment": payment.pk}
    page.goto(server.url + path.format(**keys, event=order.events.latest("pk").pk))

    assert violations(page) == []


def test_axe_has_nothing_against_the_schedule_but_what_is_djangos(
    server: Server, rosa: Reader
) -> None:
    schedule.install()
    page = rosa.open(f"{server.url}/admin/django_celery_beat/periodictask/")
    listed = violations(page, exclude=DJANGO)

    page.get_by_role("link", name=schedule.RECONCILE).click()

    assert (listed, violations(page, exclude=DJANGO)) == ([], [])


def test_axe_has_nothing_against_the_question_for_a_reason(server: Server, rosa: Reader) -> None:
    order = flagged(an_order())
    page = rosa.open(f"{server.url}{LIST}{order.pk}/change/")

    page.get_by_role("button", name="Clear review flags").click()
    expect(page.get_by_label("Reason")).to_be_visible()

    assert violations(page) == []


def test_a_cooldown_is_told_with_its_end(
    server: Server, rosa: Reader, provider: SandboxProcess, settings: Settings
) -> None:
    settings.ORDERCAST_REFRESH_COOLDOWN = 3_600
    order = an_order()
    begun(order)
    page = rosa.new_page()

    choose(page, server, "Force refresh from provider", order)
    choose(page, server, "Force refresh from provider", order)

    expect(page.get_by_text("Checked a moment ago; can be checked again from")).to_be_visible()
