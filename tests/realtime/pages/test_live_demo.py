"""`/demo/`: an order made to be pressed and watched, in the demo alone."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from orders.models import Order, Payment
from tests.builders import an_order
from tests.providing import provider, provider_process
from tests.sandbox import SandboxProcess

__all__ = ["provider", "provider_process"]


def begun(client: Client) -> tuple[str, Order]:
    answer = client.post(reverse("demo-new"))
    assert answer.status_code == 302
    return answer["Location"], Order.objects.get()


def test_the_page_shows_the_order_beside_its_payment(
    database: None, provider: SandboxProcess, client: Client
) -> None:
    address, order = begun(client)
    payment = Payment.objects.get(order=order)

    answer = client.get(address)

    page = answer.content.decode()
    assert f"/orders/{order.ref}/?" in page
    assert f'src="{provider.url}/payments/{payment.provider_ref}"' in page
    assert f"frame-src 'self' {provider.url}" in answer["Content-Security-Policy"]


def test_without_the_sandbox_the_page_says_what_is_missing(
    database: None, client: Client, settings: Settings
) -> None:
    house = {**settings.ORDERCAST_PROVIDERS["house"], "url": "http://127.0.0.1:1"}
    settings.ORDERCAST_PROVIDERS = {**settings.ORDERCAST_PROVIDERS, "house": house}

    address, _ = begun(client)

    assert "The sandbox did not answer" in client.get(address).content.decode()


def test_no_other_order_is_shown_there(database: None, client: Client) -> None:
    order = an_order()

    assert client.get(reverse("demo-order", args=[order.ref])).status_code == 404


@pytest.mark.parametrize("name", ["demo", "demo-new"])
def test_outside_the_demo_there_is_no_such_page(
    database: None, client: Client, settings: Settings, name: str
) -> None:
    settings.ORDERCAST_DEMO = False

    answer = client.post(reverse(name)) if name == "demo-new" else client.get(reverse(name))

    assert answer.status_code == 404
