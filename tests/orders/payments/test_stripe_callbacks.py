"""What Stripe calls back with: how it is verified and read, without a server and without a call."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders.payments.base import (
    BadSignature,
    Malformed,
    PaymentStatus,
    RefundPayment,
    Unavailable,
)
from orders.payments.stripe import Stripe
from tests.orders.payments.worlds import TIMEOUT

SECRET = "whsec_stripe-test"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def alone() -> Iterator[Stripe]:
    made = Stripe("sk_test", [SECRET], TIMEOUT, url="http://127.0.0.1:9")
    yield made
    made.close()


def event(kind: str, **data: Any) -> bytes:
    made = {"id": "evt_1", "type": kind, "created": int(NOW.timestamp()), "data": {"object": data}}
    return json.dumps(made).encode()


def signature(body: bytes, at: datetime = NOW, secret: str = SECRET) -> str:
    stamp = int(at.timestamp())
    return hmac.new(secret.encode(), b"%d.%s" % (stamp, body), hashlib.sha256).hexdigest()


def signed(body: bytes) -> dict[str, str]:
    return {"Stripe-Signature": f"t={int(NOW.timestamp())},v1={signature(body)}"}


INTENT: dict[str, Any] = {
    "id": "pi_1",
    "status": "succeeded",
    "amount": 1250,
    "amount_received": 1250,
    "amount_capturable": 0,
    "currency": "eur",
    "metadata": {"ordercast_ref": "m" * 32, "ordercast_flow": "direct"},
    "latest_charge": "ch_1",
}
GENUINE = event("payment_intent.succeeded", **INTENT)


def test_the_time_is_the_callers_and_not_the_machines(alone: Stripe) -> None:
    (found,) = alone.parse_callback(signed(GENUINE), GENUINE, NOW + timedelta(minutes=5))

    assert (found.event_id, found.kind) == ("evt_1", "payment_intent.succeeded")
    assert found.occurred_at == NOW
    assert found.snapshot is not None
    assert (found.snapshot.status, found.snapshot.captured) == (PaymentStatus.CAPTURED, 1250)


def test_one_of_several_signatures_is_enough(alone: Stripe) -> None:
    stamp = int(NOW.timestamp())
    headers = {"stripe-signature": f"t={stamp},v1={'0' * 64},v1={signature(GENUINE)},v0=zz"}

    assert len(alone.parse_callback(headers, GENUINE, NOW)) == 1


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        "nonsense",
        f"v1={signature(GENUINE)}",
        f"t=٣,v1={signature(GENUINE)}",
        f"t={int(NOW.timestamp())}",
        f"t={int(NOW.timestamp())},v0={signature(GENUINE)}",
        f"t={int(NOW.timestamp())},v1=ü",
        f"t=0{int(NOW.timestamp())},v1",
        f"t={int(NOW.timestamp()) + 1},v1={signature(GENUINE)}",
    ],
)
def test_a_header_that_makes_no_sense_is_a_bad_signature(alone: Stripe, header: str) -> None:
    with pytest.raises(BadSignature):
        alone.parse_callback({"stripe-signature": header}, GENUINE, NOW)


def test_bytes_that_are_no_text_are_a_bad_signature(alone: Stripe) -> None:
    body = b"\xff\xfe"

    with pytest.raises(BadSignature):
        alone.parse_callback(signed(body), body, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"",
        b'{"id": 1}',
        event("payment_intent.succeeded", **{**INTENT, "amount": -1}),
        event("payment_intent.succeeded", **{**INTENT, "amount": "1250"}),
        event("payment_intent.invented", **{**INTENT, "status": "invented"}),
        event("payment_intent.succeeded", **{**INTENT, "currency": "mga", "amount": 10**19}),
    ],
)
def test_what_is_signed_and_makes_no_sense_is_malformed(alone: Stripe, body: bytes) -> None:
    with pytest.raises(Malformed):
        alone.parse_callback(signed(body), body, NOW)


@pytest.mark.parametrize(
    "body",
    [
        event("customer.created", id="cus_1"),
        event("payment_intent.created", **INTENT),
        event("payment_intent.succeeded", **{**INTENT, "metadata": {}}),
        event("checkout.session.completed", id="cs_1", client_reference_id=None),
        event("charge.refunded", id="ch_1", payment_intent=None),
        # A thin event: its time is a text, and it carries no object.
        json.dumps(
            {
                "id": "evt_1",
                "object": "v2.core.event",
                "type": "v1.billing.meter.error_report_triggered",
                "created": "2026-03-01T12:00:00.000Z",
                "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/…"},
            }
        ).encode(),
        json.dumps({"object": "v2.core.event", "type": "payment_intent.succeeded"}).encode(),
        b'{"type": "invoice.paid"}',
        b'{"type": "customer.updated", "created": "now", "data": []}',
    ],
)
def test_what_is_not_ours_is_taken_and_left_alone(alone: Stripe, body: bytes) -> None:
    assert alone.parse_callback(signed(body), body, NOW) == []


def test_a_byte_order_mark_is_not_minded(alone: Stripe) -> None:
    body = b"\xef\xbb\xbf" + GENUINE

    (found,) = alone.parse_callback(signed(body), body, NOW)

    assert (found.event_id, found.may_be_foreign) == ("evt_1", False)


@pytest.mark.parametrize(
    ("kind", "data", "is_told"),
    [
        ("refund.created", {"metadata": {"ordercast_ref": "r" * 32}}, True),
        ("refund.created", {"metadata": {}}, False),
        ("charge.refunded", {"metadata": {"ordercast_ref": "m" * 32}}, True),
        ("charge.refunded", {"metadata": None}, False),
        ("charge.dispute.created", {}, False),
    ],
)
def test_whether_a_refund_or_a_dispute_is_ours_is_not_always_told(
    alone: Stripe, kind: str, data: dict[str, Any], is_told: bool
) -> None:
    body = event(kind, id="xx_1", payment_intent="pi_1", **data)

    (found,) = alone.parse_callback(signed(body), body, NOW)

    assert found.may_be_foreign is not is_told


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("refund.failed", {"id": "re_1", "payment_intent": "pi_1"}),
        ("charge.refunded", {"id": "ch_1", "payment_intent": {"id": "pi_1"}}),
        ("charge.dispute.created", {"id": "du_1", "payment_intent": "pi_1"}),
    ],
)
def test_a_part_of_a_payment_leaves_the_whole_to_a_fetch(
    alone: Stripe, kind: str, data: dict[str, Any]
) -> None:
    body = event(kind, **data)

    (found,) = alone.parse_callback(signed(body), body, NOW)

    assert (found.snapshot, found.provider_ref) == (None, "pi_1")


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("requires_payment_method", None, PaymentStatus.PENDING),
        ("requires_payment_method", {"code": "card_declined"}, PaymentStatus.FAILED),
        ("requires_action", None, PaymentStatus.PENDING),
        ("processing", None, PaymentStatus.PROCESSING),
        ("requires_capture", None, PaymentStatus.AUTHORISED),
        ("canceled", None, PaymentStatus.CANCELLED),
    ],
)
def test_each_state_of_a_direct_intent_has_its_meaning(
    alone: Stripe, status: str, error: dict[str, str] | None, expected: PaymentStatus
) -> None:
    told = {**INTENT, "status": status, "last_payment_error": error, "amount_received": 0}
    body = event("payment_intent.updated", **told)

    (found,) = alone.parse_callback(signed(body), body, NOW)

    assert found.snapshot is not None
    assert found.snapshot.status is expected
    assert found.snapshot.failure_code == (error or {}).get("code", "")


def test_a_hold_says_when_it_ends_and_a_debit_that_it_takes_days(alone: Stripe) -> None:
    charge = {"payment_method_details": {"card": {"capture_before": int(NOW.timestamp())}}}
    held = event(
        "payment_intent.updated",
        **{**INTENT, "status": "requires_capture", "latest_charge": charge},
    )
    debit = event("payment_intent.processing", **{**INTENT, "status": "processing"})

    ((holding,), (waiting,)) = (alone.parse_callback(signed(b), b, NOW) for b in (held, debit))

    assert holding.snapshot is not None
    assert waiting.snapshot is not None
    assert (holding.snapshot.hold_ends_at, holding.snapshot.is_offline) == (NOW, False)
    assert (waiting.snapshot.hold_ends_at, waiting.snapshot.is_offline) == (None, True)


def test_a_callback_reader_calls_nobody(alone: Stripe) -> None:
    """The address of `alone` is one where nobody listens: a call would raise."""
    told = {**INTENT, "metadata": {**INTENT["metadata"], "ordercast_flow": "checkout"}}
    body = event("payment_intent.payment_failed", **{**told, "status": "requires_payment_method"})

    (found,) = alone.parse_callback(signed(body), body, NOW)

    assert (found.snapshot, found.merchant_ref) == (None, "m" * 32)


def test_a_refund_of_what_stripe_does_not_know_reaches_nobody(alone: Stripe) -> None:
    with pytest.raises(Unavailable):
        alone.refund(RefundPayment(ref="r", merchant_ref="m", provider_ref="pi_1", amount=1))
