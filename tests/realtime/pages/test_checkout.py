"""Where *Pay* leads: to a checkout that can still be paid at, by an address that may be opened."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from orders import clock
from orders.models import Order, Payment
from tests.builders import API, a_payment, an_order, tell
from tests.realtime.pages.reading import granted, shown_without_script
from tests.sandbox import SandboxProcess
from tests.workers.conftest import provider, provider_process

__all__ = ["provider", "provider_process"]
pytestmark = pytest.mark.usefixtures("database")


def press_pay(order: Order) -> Any:
    return Client().post(granted(order))


def some_time_passes() -> None:
    """Nobody has heard of any payment for a while."""
    ago = clock.now() - timedelta(minutes=5)
    Payment.objects.update(changed_at=ago, last_checked_at=None)


def test_a_checkout_that_has_run_out_is_not_led_to_but_a_new_one(provider: SandboxProcess) -> None:
    order = an_order()
    dead = press_pay(order)["Location"]
    provider.act(Payment.objects.get().ref, "expire")  # and the callback is lost
    some_time_passes()

    answer = press_pay(order)

    first, second = Payment.objects.order_by("pk")
    assert (first.status, second.status) == ("expired", "pending")
    assert answer["Location"] == second.checkout_url != dead


def test_what_was_paid_meanwhile_leads_back_to_the_page(provider: SandboxProcess) -> None:
    order = an_order()
    press_pay(order)
    provider.act(Payment.objects.get().ref, "pay")
    some_time_passes()

    answer = press_pay(order)

    order.refresh_from_db()
    assert (answer["Location"], order.state) == (f"/orders/{order.ref}/", "paid")
    assert Payment.objects.count() == 1


def test_a_provider_that_is_away_leads_to_the_checkout_that_is_known(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    known = press_pay(order)["Location"]
    some_time_passes()
    provider.set_faults("answer_500")

    assert press_pay(order)["Location"] == known


def test_a_payment_apps_address_is_led_to_where_the_provider_gives_those() -> None:
    order = an_order()
    address = "upi://pay?pa=shop@bank&am=10.00&cu=EUR"
    tell(a_payment(order, "intended"), "pending", checkout_url=address)

    answer = press_pay(order)

    assert (answer.status_code, answer["Location"]) == (302, address)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "intent://pay#Intent;end",
        "//evil.example/pay",
        "https://[",
    ],
)
def test_an_address_that_may_not_be_opened_is_neither_kept_nor_led_to(address: str) -> None:
    order = an_order()
    payment = a_payment(order, "intended")

    tell(payment, "pending", cause=API, checkout_url=address)
    assert payment.checkout_url == ""

    Payment.objects.update(checkout_url=address)  # from before it was looked at
    answer = Client().post(granted(order), follow=True)
    assert "Your payment is being prepared" in shown_without_script(answer)
