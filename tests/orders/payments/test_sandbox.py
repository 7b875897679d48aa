"""The sandbox as a payment system: its API and its pages."""

import re
import secrets
from typing import Any

import httpx
import pytest

from orders.payments.sandbox.money import written
from tests.orders.payments.paying import create, states
from tests.orders.payments.receiver import Receiver
from tests.sandbox import SandboxProcess
from tests.waiting import eventually

# the API


def test_a_wrong_key_is_refused_everywhere(sandbox: SandboxProcess) -> None:
    for path in ("/v1/payments", "/control/faults", "/control/calls"):
        answer = httpx.get(sandbox.url + path, headers={b"Authorization": "Bearer ä".encode()})
        assert answer.status_code == 401


def test_an_idempotency_key_gives_the_same_answer_and_refuses_another_body(
    sandbox: SandboxProcess,
) -> None:
    body = {"merchant_ref": secrets.token_hex(16), "amount": 5, "currency": "EUR"}
    headers = {"Idempotency-Key": str(body["merchant_ref"])}

    first, second, other = (
        sandbox.client.post("/v1/payments", json=json, headers=headers)
        for json in (body, body, {**body, "amount": 6})
    )

    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"merchant_ref":"x","amount":1.5,"currency":"EUR"}',
        b'{"merchant_ref":"x","amount":"1","currency":"EUR"}', b'{"merchant_ref":"x","amount":0,"currency":"EUR"}',
        b'{"merchant_ref":"x","amount":1,"currency":"eur"}', b'{"merchant_ref":"a/b","amount":1,"currency":"EUR"}',
        b'{"merchant_ref":"x","amount":1,"currency":"EUR","return_url":"javascript:alert(1)"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused_with_a_reason(
    sandbox: SandboxProcess, body: bytes
) -> None:
    answer = sandbox.client.post("/v1/payments", content=body)

    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


def test_the_list_goes_on_after_an_instant(sandbox: SandboxProcess, callbacks: Receiver) -> None:
    made = [create(sandbox, callbacks) for _ in range(3)]

    page = sandbox.client.get(
        "/v1/payments", params={"created_after": made[0]["created_at"], "limit": 1}
    ).json()

    assert page == {"payments": [made[1]], "has_more": True}


def test_calls_are_counted_by_kind(sandbox: SandboxProcess, callbacks: Receiver) -> None:
    before = sandbox.control("GET", "calls")
    payment = create(sandbox, callbacks)
    sandbox.client.get(f"/v1/payments/{payment['provider_ref']}")

    after = sandbox.control("GET", "calls")

    assert after["create"] - before.get("create", 0) == 1
    assert after["fetch"] - before.get("fetch", 0) == 1


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1250, "EUR", "12.50 EUR"),
        (500, "JPY", "500 JPY"),
        (1234567, "KWD", "1,234.567 KWD"),
        (5, "USD", "0.05 USD"),
    ],
)
def test_amounts_are_written_as_the_currency_wants(amount: Any, currency: str, text: str) -> None:
    assert written(amount, currency) == text


# the pages


def checkout(sandbox: SandboxProcess, payment: dict[str, Any], **form: Any) -> httpx.Response:
    return sandbox.client.post(f"/checkout/{payment['provider_ref']}", data=form)


def test_the_customer_pays_and_goes_back_to_the_shop(sandbox: SandboxProcess) -> None:
    payment = sandbox.control(
        "POST",
        "/v1/payments",
        {
            "merchant_ref": secrets.token_hex(16),
            "amount": 500,
            "currency": "JPY",
            "return_url": "http://127.0.0.1:9/orders/1/",
        },
    )
    page = httpx.get(payment["checkout_url"])

    answer = checkout(sandbox, payment, action="pay")

    assert "500 JPY" in page.text
    assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1:9/orders/1/")
    assert sandbox.client.get(f"/v1/payments/{payment['provider_ref']}").json()["captured"] == 500


def test_without_a_shop_to_go_back_to_the_page_may_be_closed(
    sandbox: SandboxProcess, callbacks: Receiver
) -> None:
    payment = create(sandbox, callbacks)

    answer = checkout(sandbox, payment, action="leave")

    assert "You can close this page" in sandbox.client.get(answer.headers["location"]).text


def test_faults_can_be_ticked_at_the_checkout(sandbox: SandboxProcess, callbacks: Receiver) -> None:
    payment = create(sandbox, callbacks)

    checkout(
        sandbox,
        payment,
        action="pay",
        fault=["callback_doubled", "callback_delayed"],
        seconds="0.1",
    )

    first, second = callbacks.wait_for(2)
    assert first.event_id == second.event_id


def test_declined_the_customer_may_try_again(sandbox: SandboxProcess, callbacks: Receiver) -> None:
    payment = create(sandbox, callbacks)
    checkout(sandbox, payment, action="decline")

    assert "can try again" in httpx.get(payment["checkout_url"]).text
    assert checkout(sandbox, payment, action="pay").status_code == 303
    assert "Nothing more can be done here" in httpx.get(payment["checkout_url"]).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_from_another_site_is_refused(
    sandbox: SandboxProcess, callbacks: Receiver, headers: dict[str, str]
) -> None:
    payment = create(sandbox, callbacks)

    answer = httpx.post(payment["checkout_url"], data={"action": "pay"}, headers=headers)

    assert answer.status_code == 403
    assert states(sandbox, payment) == []


def test_the_console_shows_payments_and_acts_on_them(
    sandbox: SandboxProcess, callbacks: Receiver
) -> None:
    payment = create(sandbox, callbacks)
    act = f"/payments/{payment['provider_ref']}/act"
    sandbox.client.post(act, data={"action": "pay"})

    sandbox.client.post(act, data={"action": "refund", "amount": "2.5"})

    eventually(lambda: states(sandbox, payment) == ["delivered", "delivered"])
    page = httpx.get(sandbox.url + "/").text
    assert "Refund of 2.50 EUR: succeeded" in page
    assert "2 callbacks: delivered, delivered" in page


def test_the_console_sets_and_clears_global_faults(sandbox: SandboxProcess) -> None:
    sandbox.client.post("/faults", data={"fault": "answer_slow", "seconds": "0.01", "count": "7"})
    (fault,) = sandbox.control("GET", "faults")["faults"]
    sandbox.client.post("/faults", data={})

    assert (fault["fault"], fault["seconds"], fault["count"]) == ("answer_slow", 0.01, 7)
    assert sandbox.control("GET", "faults") == {"faults": []}


@pytest.mark.parametrize("amount", ["x", "1.234", "-1", "1e9", "99999", "٣"])
def test_a_bad_amount_in_a_form_is_explained(
    sandbox: SandboxProcess, callbacks: Receiver, amount: Any
) -> None:
    payment = create(sandbox, callbacks)
    act = f"/payments/{payment['provider_ref']}/act"
    sandbox.client.post(act, data={"action": "pay"})

    answer = sandbox.client.post(act, data={"action": "refund", "amount": amount})

    assert answer.status_code == 422
    assert "That is not possible" in answer.text


def test_what_a_merchant_writes_is_escaped_on_the_pages(sandbox: SandboxProcess) -> None:
    body = {
        "merchant_ref": "<script>x",
        "amount": 1,
        "currency": "EUR",
        "description": "<img src=x onerror=alert(1)>",
    }
    payment = sandbox.control("POST", "/v1/payments", body)

    for page in (httpx.get(payment["checkout_url"]), httpx.get(sandbox.url + "/")):
        assert "<script>" not in page.text
        assert "<img" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_no_page_asks_anything_of_another_host(
    sandbox: SandboxProcess, callbacks: Receiver
) -> None:
    payment = create(sandbox, callbacks)
    pages = [httpx.get(sandbox.url + "/").text, httpx.get(payment["checkout_url"]).text]

    asked = {url for page in pages for url in re.findall(r'(?:src|href|action)="([^"#]*)', page)}

    assert all(url.startswith("/") or url == "data:," for url in asked)
    assert httpx.get(sandbox.url + "/static/sandbox.css").status_code == 200
