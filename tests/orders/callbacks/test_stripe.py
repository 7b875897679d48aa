"""Callbacks of a Stripe account that other programs use too: what is theirs is taken and calls nobody."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone
from pytest_django import Settings

from backend.http.gateway import BODY_LIMITS
from orders.callbacks import intake
from orders.models import CallbackReceipt, Payment
from orders.payments import registry
from tests.builders import a_payment, an_order_that_is
from tests.orders.calling import problem
from tests.orders.deliveries import post

SECRET = "whsec_of-these-tests-alone"

pytestmark = pytest.mark.usefixtures("stripe")


@pytest.fixture
def stripe(database: None, settings: Settings) -> Iterator[None]:
    account = {"key": "sk_test_1", "webhook_secrets": [SECRET], "timeout": 1.0, "url": "http://x"}
    settings.ORDERCAST_PROVIDERS = {**settings.ORDERCAST_PROVIDERS, "stripe": account}
    yield
    registry.cache_clear()


def call_back(body: bytes, secret: str = SECRET) -> HttpResponse:
    stamp = int(timezone.now().timestamp())
    digest = hmac.new(secret.encode(), b"%d.%s" % (stamp, body), hashlib.sha256).hexdigest()
    return post(body, {"stripe-signature": f"t={stamp},v1={digest}"}, "stripe")


def event(kind: str, **data: Any) -> bytes:
    made = {"id": "evt_1", "type": kind, "created": 1, "data": {"object": data}}
    return json.dumps(made).encode()


def tried_to_the_end() -> CallbackReceipt:
    while due := CallbackReceipt.objects.get().next_try_at:
        intake.retry_unmatched(due)
    return CallbackReceipt.objects.get()


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"evt_1","object":"v2.core.event","type":"v2.core.account.updated","created":"2026-03-01T12:00:00Z"}',
        event("customer.updated", id="cus_1"),
        event("invoice.finalized", id="in_1", lines=["x" * 1_000] * 300),
    ],
)
def test_a_type_that_is_not_ours_is_answered_with_success_and_not_stored(body: bytes) -> None:
    assert call_back(body).status_code == 200
    assert CallbackReceipt.objects.count() == 0


def test_one_that_is_larger_than_any_event_is_refused_and_so_is_a_large_one_that_is_not_signed() -> (
    None
):
    most = registry.get("stripe").max_callback
    assert most <= dict(BODY_LIMITS)["/callbacks/"]  # or the gateway would refuse it before

    too_large = call_back(b" " * (most + 1))
    unsigned = call_back(event("invoice.paid", lines=["x" * 300_000]), "whsec_another")

    assert problem(too_large) == (413, "too_large")
    assert problem(unsigned) == (400, "bad_signature")


@pytest.mark.parametrize("kind", ["refund.created", "charge.dispute.created", "charge.refunded"])
def test_a_refund_or_dispute_of_another_program_calls_nobody(kind: str) -> None:
    answer = call_back(event(kind, id="xx_1", payment_intent="pi_of_another_program"))

    receipt = tried_to_the_end()
    assert answer.status_code == 200
    assert (receipt.outcome, receipt.needs_review) == ("foreign", False)


def test_one_that_is_ours_and_matches_nothing_is_flagged_for_review() -> None:
    call_back(
        event("refund.created", id="re_1", payment_intent="pi_1", metadata={"ordercast_ref": "r"})
    )

    receipt = tried_to_the_end()
    assert (receipt.outcome, receipt.needs_review) == ("unmatched", True)


def test_one_that_seemed_foreign_is_taken_when_it_comes_again_and_is_ours() -> None:
    body = event("charge.dispute.created", id="du_1", payment_intent="pi_1")
    call_back(body)
    tried_to_the_end()
    ours = a_payment(an_order_that_is("paid"), "captured", provider="stripe", provider_ref="pi_1")

    call_back(body)

    assert CallbackReceipt.objects.get().outcome == "asking"
    assert Payment.objects.get(pk=ours.pk).next_check_at is not None
