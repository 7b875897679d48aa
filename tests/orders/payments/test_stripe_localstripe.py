"""The Stripe provider against localstripe, written by others from Stripe's documentation, as far as it goes.

It knows PaymentIntents, refunds and signed events, but no Checkout, no disputes, no search, no idempotency keys and no
limit to refunds; those are proven with the sandbox. It runs as its own process and is never imported.
"""

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx
import pytest

from orders.payments.base import (
    CreatePayment,
    NotFound,
    PaymentStatus,
    RefundStatus,
    RequestRefused,
    Unavailable,
)
from orders.payments.stripe import Stripe
from tests.orders.payments.receiver import Receiver
from tests.orders.payments.worlds import refund_of
from tests.waiting import eventually

SECRET = "whsec_localstripe"


class Plain(Stripe):
    """Without what came into Stripe's API after localstripe."""

    direct: ClassVar[Any] = {}


@pytest.fixture(scope="module")
def localstripe() -> Iterator[str]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(
            lambda: httpx.get(f"{url}/v1/events", trust_env=False).status_code == 401,
            20,
            saying="localstripe answered",
            ignoring=(httpx.TransportError,),
        )
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def stripe(localstripe: str) -> Iterator[Stripe]:
    made = Plain("sk_test_localstripe", [SECRET], 5.0, url=localstripe)
    yield made
    made.close()


def charge(method: str = "pm_card_visa") -> CreatePayment:
    return CreatePayment(
        merchant_ref=secrets.token_hex(16),
        amount=1250,
        currency="EUR",
        return_url="http://127.0.0.1:9/",
        callback_url="http://127.0.0.1:9/",
        confirm=True,
        metadata={"stripe_payment_method": method},
    )


def test_a_charge_at_once_is_captured_and_found_by_its_name(stripe: Stripe) -> None:
    request = charge()

    payment = stripe.create(request)

    assert (payment.status, payment.captured) == (PaymentStatus.CAPTURED, 1250)
    assert (payment.merchant_ref, payment.currency) == (request.merchant_ref, "EUR")
    assert stripe.fetch(request.merchant_ref, payment.provider_ref) == payment


def test_a_card_without_money_is_refused_with_the_banks_word(stripe: Stripe) -> None:
    with pytest.raises(RequestRefused) as refused:
        stripe.create(charge("pm_card_chargeCustomerFail"))

    assert refused.value.code == "card_declined"


def test_a_payment_method_that_is_not_there_is_refused(stripe: Stripe) -> None:
    with pytest.raises(RequestRefused) as refused:
        stripe.create(charge("pm_nobodys"))

    assert refused.value.code == "resource_missing"


def test_refunds_add_up_and_carry_our_reference(stripe: Stripe) -> None:
    payment = stripe.create(charge())
    requests = [refund_of(payment, 300), refund_of(payment, 950)]

    first, second = (stripe.refund(request) for request in requests)

    assert (first.refunded, second.refunded) == (300, 1250)
    assert {r.ref for r in second.refunds} == {r.ref for r in requests}
    assert {r.status for r in second.refunds} == {RefundStatus.SUCCEEDED}


def test_an_unknown_payment_is_not_found(stripe: Stripe) -> None:
    with pytest.raises(NotFound):
        stripe.fetch("never", "pi_never")


def test_a_wrong_key_is_no_answer_about_a_payment(localstripe: str) -> None:
    wrong = Plain("pk_wrong", [SECRET], 5.0, url=localstripe)

    with pytest.raises(Unavailable):
        wrong.fetch("any", "pi_any")

    wrong.close()


def test_its_events_are_signed_as_ours_are_checked(
    localstripe: str, stripe: Stripe, callbacks: Receiver
) -> None:
    endpoint = {"url": callbacks.url, "secret": SECRET, "events": ["payment_intent.succeeded"]}
    httpx.post(f"{localstripe}/_config/webhooks/test", json=endpoint, trust_env=False)
    payment = stripe.create(charge())

    # Events of the tests before are still on their way.
    (came,) = eventually(
        lambda: [came for came in callbacks.received if payment.provider_ref.encode() in came.body]
    )
    (event,) = stripe.parse_callback(came.headers, came.body, datetime.now(UTC))
    assert event.snapshot == payment
