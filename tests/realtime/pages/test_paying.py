"""Pressing *Pay* on an order's page, and what the page says once the time to pay is over."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders import clock
from orders.commands import refresh
from orders.domain.states import State
from orders.models import Order, Payment
from realtime.pages import texts
from tests.builders import API, an_order, an_order_that_is, at_once
from tests.realtime.pages.reading import (
    for_script,
    granted,
    page_of,
    shown_without_script,
)
from tests.sandbox import SandboxProcess
from tests.workers.conftest import provider, provider_process

__all__ = ["provider", "provider_process"]
pytestmark = pytest.mark.usefixtures("database")


def test_paying_begins_a_payment_and_goes_to_its_checkout(provider: SandboxProcess) -> None:
    order = an_order()

    answer = Client().post(granted(order))

    payment = Payment.objects.get(order=order)
    assert (answer.status_code, answer["Location"]) == (302, payment.checkout_url)
    assert payment.checkout_url.startswith(provider.url)


def test_pressing_pay_again_leads_to_the_same_checkout(provider: SandboxProcess) -> None:
    order = an_order()

    first, second = Client().post(granted(order)), Client().post(granted(order))

    assert first["Location"] == second["Location"]
    assert Payment.objects.count() == 1


def test_two_tabs_that_press_at_once_begin_one_payment(provider: SandboxProcess) -> None:
    order = an_order()

    answers = at_once(*[lambda: Client().post(granted(order)).status_code] * 2)

    assert answers == [302, 302]
    assert Payment.objects.count() == 1


def test_after_a_decline_the_customer_can_pay_again(provider: SandboxProcess) -> None:
    order = an_order()
    Client().post(granted(order))
    first = Payment.objects.get()
    provider.act(first.provider_ref, "decline")
    refresh.refresh_order(order.ref, cause=API)

    declined = shown_without_script(page_of(order))
    answer = Client().post(granted(order))

    second = Payment.objects.latest("pk")
    assert "Your bank declined it" in declined
    assert "Pay again" in declined
    assert second.pk != first.pk
    assert answer["Location"] == second.checkout_url


def test_an_order_that_is_paid_begins_nothing() -> None:
    order = an_order_that_is("paid")

    answer = Client().post(granted(order))

    assert answer["Location"] == f"/orders/{order.ref}/"
    assert not Payment.objects.exists()


def test_a_provider_that_is_away_keeps_the_payment_and_says_so(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    provider.set_faults("answer_500")
    client = Client()

    answer = client.post(granted(order), follow=True)

    assert "Your payment is being prepared" in shown_without_script(answer)
    assert Payment.objects.get().next_check_at


def test_another_site_cannot_press_the_button() -> None:
    order = an_order()

    answer = Client(enforce_csrf_checks=True).post(granted(order))

    assert answer.status_code == 403
    assert not Payment.objects.exists()


def test_nobody_pays_without_seeing_the_order() -> None:
    order = an_order()

    answer = Client().post(f"/orders/{order.ref}/")

    assert answer.status_code == 404
    assert not Payment.objects.exists()


# After its deadline


def past_its_deadline(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(expires_at=clock.now() - timedelta(seconds=1))


@pytest.mark.parametrize("state", ["created", "awaiting_payment", "failed"])
def test_past_its_deadline_an_order_offers_no_payment(state: str) -> None:
    order = an_order_that_is(state)
    offered, left = shown_without_script(page_of(order)), for_script(page_of(order))["pay_left"]
    past_its_deadline(order)

    shown, page = shown_without_script(page_of(order)), for_script(page_of(order))

    assert "To be paid by" in offered
    assert left > 0
    assert "The time to pay has run out" in shown
    assert "To be paid by" not in shown
    assert (page["is_overdue"], page["pay_left"]) == (True, 0)


@pytest.mark.parametrize("state", ["processing", "authorised", "paid", "expired"])
def test_what_is_on_its_way_or_over_is_not_called_too_late(state: State) -> None:
    order = an_order_that_is(state)
    past_its_deadline(order)

    assert str(texts.STATES[state].headline) in shown_without_script(page_of(order))


def test_pressing_pay_past_the_deadline_neither_begins_a_payment_nor_leads_into_one(
    provider: SandboxProcess,
) -> None:
    begun, new = an_order(), an_order()
    Client().post(granted(begun))
    past_its_deadline(begun)
    past_its_deadline(new)

    answers = [Client().post(granted(order))["Location"] for order in (begun, new)]

    assert all(address.startswith("/orders/") for address in answers)
    assert Payment.objects.count() == 1


def test_my_orders_say_that_the_time_to_pay_is_over(user: Callable[..., User]) -> None:
    customer = user("rosa")
    past_its_deadline(an_order(customer_id=customer.pk))
    client = Client()
    client.force_login(customer)

    assert "Time to pay ran out" in shown_without_script(client.get("/orders/"))
