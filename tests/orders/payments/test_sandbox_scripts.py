"""The sandbox's faults of answers, the lives that an order's metadata tells it to play, and crafted callbacks."""

import json
import secrets
from typing import Any

import httpx
import pytest

from tests.orders.payments.paying import Pay, create, is_genuine
from tests.orders.payments.receiver import Receiver
from tests.sandbox import SandboxProcess


def test_a_fault_in_the_metadata_meets_the_create_call_itself_once(
    sandbox: SandboxProcess, callbacks: Receiver
) -> None:
    body = {
        "merchant_ref": secrets.token_hex(16),
        "amount": 1,
        "currency": "EUR",
        "metadata": {"sandbox": {"faults": ["answer_500"]}},
    }

    answers = [sandbox.client.post("/v1/payments", json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [500, 201]


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [
        ({"fault": "answer_429", "seconds": 3}, 429, "3"),
        ({"fault": "answer_503", "seconds": 4}, 503, "4"),
        ("answer_500", 500, None),
    ],
)
def test_the_next_n_answers_are_errors(
    sandbox: SandboxProcess, pay: Pay, fault: Any, status: int, retry_after: str | None
) -> None:
    payment = pay()
    fault = {"fault": fault} if isinstance(fault, str) else fault
    sandbox.set_faults({**fault, "count": 2, "calls": ["fetch"]}, ref=payment["provider_ref"])

    answers = [sandbox.client.get(f"/v1/payments/{payment['provider_ref']}") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers.get("retry-after") == retry_after


def test_a_cut_connection_gives_no_byte_and_the_work_is_done(
    sandbox: SandboxProcess, pay: Pay
) -> None:
    payment = pay()
    path = f"/v1/payments/{payment['provider_ref']}"
    sandbox.set_faults({"fault": "connection_cut", "calls": ["refund"]})

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        sandbox.client.post(f"{path}/refunds", json={"ref": secrets.token_hex(8), "amount": 5})

    assert [r["amount"] for r in sandbox.client.get(path).json()["refunds"]] == [5]


@pytest.mark.parametrize(
    ("fault", "types"),
    [
        ("refund_later", ["payment.captured", "refund.succeeded"]),
        ("dispute_later", ["payment.captured", "dispute.opened"]),
    ],
)
def test_a_payment_can_change_by_itself_later(
    callbacks: Receiver, pay: Pay, fault: Any, types: list[str]
) -> None:
    pay({"fault": fault, "seconds": 0.2})

    assert [json.loads(came.body)["type"] for came in callbacks.wait_for(2)] == types


@pytest.mark.parametrize(
    ("fault", "end"), [("refund_pending", "succeeded"), ("refund_fails", "failed")]
)
def test_a_refund_can_take_a_while(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay, fault: Any, end: str
) -> None:
    payment = pay({"fault": fault, "seconds": 0.2})

    pending = sandbox.act(payment["provider_ref"], "refund", 100)

    assert [refund["status"] for refund in pending["refunds"]] == ["pending"]
    told = [json.loads(came.body) for came in callbacks.wait_for(3)]
    assert [each["type"] for each in told][1:] == ["refund.pending", f"refund.{end}"]
    assert [refund["status"] for refund in told[2]["data"]["refunds"]] == [end]


@pytest.mark.parametrize(
    ("script", "types"),
    [
        ({"outcome": "paid"}, ["payment.captured"]),
        ({"outcome": "declined"}, ["payment.failed"]),
        (
            {"outcome": "processing", "settle_after": 0.2},
            ["payment.processing", "payment.captured"],
        ),
        (
            {"outcome": "processing", "then": "declined", "settle_after": 0.2},
            ["payment.processing", "payment.failed"],
        ),
    ],
)
def test_a_confirmed_payment_ends_as_its_metadata_says(
    sandbox: SandboxProcess, callbacks: Receiver, script: Any, types: list[str]
) -> None:
    body = {
        "merchant_ref": secrets.token_hex(16),
        "amount": 1,
        "currency": "EUR",
        "confirm": True,
        "callback_url": callbacks.url,
        "metadata": {"sandbox": script},
    }

    answer = sandbox.control("POST", "/v1/payments", body)

    told = [json.loads(came.body) for came in callbacks.wait_for(len(types))]
    assert [each["type"] for each in told] == types
    assert answer == told[0]["data"]


def test_an_unconfirmed_payment_can_be_paid_by_itself(
    sandbox: SandboxProcess, callbacks: Receiver
) -> None:
    create(sandbox, callbacks, sandbox={"outcome": "paid", "settle_after": 0.1})

    (came,) = callbacks.wait_for(1)
    assert json.loads(came.body)["type"] == "payment.captured"


def test_a_callback_can_overtake_the_answer_to_the_create_call(
    sandbox: SandboxProcess, callbacks: Receiver
) -> None:
    body = {
        "merchant_ref": secrets.token_hex(16),
        "amount": 1,
        "currency": "EUR",
        "confirm": True,
        "callback_url": callbacks.url,
        "metadata": {"sandbox": {"slow": 0.5}},
    }

    sandbox.control("POST", "/v1/payments", body)

    assert len(callbacks.received) == 1


@pytest.mark.parametrize(
    "script",
    [
        {"faults": ["callback_eaten"]},
        {"faults": [{"fault": "callback_lost", "count": 0}]},
        {"faults": [{"fault": "answer_slow", "seconds": -1}]},
        {"outcome": "rich"},
        {"typo": 1},
        "callback_lost",
    ],
)
def test_a_script_that_makes_no_sense_is_refused(
    sandbox: SandboxProcess, callbacks: Receiver, script: Any
) -> None:
    with pytest.raises(AssertionError, match="HTTP 422"):
        create(sandbox, callbacks, sandbox=script)


# crafted callbacks


def test_an_older_state_can_be_sent_again(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay
) -> None:
    payment = pay(act="process")
    (processing,) = callbacks.wait_for(1)
    sandbox.act(payment["provider_ref"], "pay")
    callbacks.wait_for(2)

    sandbox.control(
        "POST",
        f"payments/{payment['provider_ref']}/callbacks",
        {"replay": processing.event_id, "event_id": "evt_new"},
    )

    again = callbacks.wait_for(3)[2]
    assert (again.event_id, again.body) == ("evt_new", processing.body)
    assert is_genuine(sandbox, again)


@pytest.mark.parametrize(
    ("crafted", "genuine", "amount"),
    [
        ({"is_forged": True, "changes": {"amount": 1}}, False, 1),
        ({"changes": {"amount": 1}}, True, 1),
        ({}, True, 1250),
    ],
)
def test_a_callback_can_be_crafted(
    sandbox: SandboxProcess, callbacks: Receiver, crafted: dict[str, Any], genuine: Any, amount: Any
) -> None:
    payment = create(sandbox, callbacks)

    sandbox.control("POST", f"payments/{payment['provider_ref']}/callbacks", crafted)

    (came,) = callbacks.wait_for(1)
    assert is_genuine(sandbox, came) == genuine
    assert json.loads(came.body)["data"]["amount"] == amount
