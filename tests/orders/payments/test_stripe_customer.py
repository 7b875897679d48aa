"""A customer pays by Stripe, all the way: our page, Stripe's page, Stripe's callback, and our page again.

A web process that knows of Stripe what the environment says, as the demo does when it is given keys. Stripe is the
sandbox that speaks its shapes.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import connect

from tests.realtime.serving import ROOT, ServerProcess
from tests.sandbox import SandboxProcess

SERVICE = {"authorization": "Bearer demo-service-token"}
State = dict[str, object]


@pytest.fixture
def given_keys(child_environment: dict[str, str], sandbox: SandboxProcess) -> dict[str, str]:
    return {
        **child_environment,
        "ORDERCAST_PROVIDERS": "stripe",
        "ORDERCAST_STRIPE_URL": sandbox.url,
        "ORDERCAST_STRIPE_KEY": sandbox.key,
        "ORDERCAST_STRIPE_WEBHOOK_SECRETS": sandbox.secret,
    }


@pytest.fixture
def web(given_keys: dict[str, str], database: None, valkey: object) -> Iterator[ServerProcess]:
    started = ServerProcess(given_keys).wait()
    yield started
    started.stop()


class Customer:
    """A browser without a screen: keeps cookies, and sends back what a form was given."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        body = {"amount": 1250, "currency": "EUR"}
        made = self._http.post("/api/orders", json=body, headers=SERVICE).raise_for_status().json()
        link = urlsplit(made["page"])
        self.ref, self.grant = made["ref"], made["grant"]
        self.page = f"{link.path}?{link.query}"

    def goes_to_the_checkout(self) -> str:
        shown = self._http.get(self.page, follow_redirects=True)
        assert shown.status_code == 200
        pressed = self._http.post(
            urlsplit(self.page).path, headers={"x-csrftoken": self._http.cookies["csrftoken"]}
        )
        assert pressed.status_code == 302
        return pressed.headers["location"]

    def pays_at(self, checkout: str) -> None:
        """On Stripe's own page, which sends the customer back to ours."""
        paid = httpx.post(checkout, data={"action": "pay"}, trust_env=False, timeout=20)
        assert paid.status_code in {200, 302, 303}
        assert self.ref in (paid.headers.get("location") or paid.text)

    def sees(self) -> State:
        """The order, as its page is told."""
        answer = self._http.get(
            f"/api/orders/{self.ref}", headers={"authorization": f"Bearer {self.grant}"}
        )
        state: State = answer.raise_for_status().json()
        return state


@pytest.fixture
def customer(web: ServerProcess) -> Iterator[Customer]:
    with httpx.Client(base_url=web.url, trust_env=False, timeout=20) as http:
        yield Customer(http)


def test_a_customer_pays_and_the_page_turns_by_stripes_callback(
    web: ServerProcess, customer: Customer, sandbox: SandboxProcess
) -> None:
    endpoint = {"url": f"{web.url}/callbacks/stripe/"}
    sandbox.client.post("/v1/webhook_endpoints", data=endpoint).raise_for_status()
    address = f"{web.url.replace('http', 'ws')}/ws/orders/{customer.ref}/?token={customer.grant}"

    with connect(address, proxy=None) as page:
        customer.pays_at(customer.goes_to_the_checkout())
        states = []
        while "paid" not in states:
            states.append(json.loads(page.recv(20)).get("state"))

    assert [state for state in states if state] == ["created", "awaiting_payment", "paid"]
    assert customer.sees()["captured"] == 1250


def test_where_stripe_cannot_call_back_a_look_finds_the_same(
    customer: Customer, given_keys: dict[str, str]
) -> None:
    customer.pays_at(customer.goes_to_the_checkout())
    assert customer.sees()["state"] == "awaiting_payment"

    command = [sys.executable, "manage.py", "reconcile", "--order", customer.ref]
    asked = subprocess.run(
        command, cwd=ROOT, env=given_keys, check=True, capture_output=True, text=True
    )

    assert "applied" in asked.stdout
    assert customer.sees()["state"] == "paid"
