"""The sandbox's faults: each one, as the receiver of its callbacks and the caller of its API sees it."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.orders.payments.receiver import Received, Receiver
from tests.sandbox import SandboxProcess
from tests.waiting import eventually

Pay = Callable[..., dict[str, Any]]


@pytest.fixture
def pay(sandbox: SandboxProcess, callbacks: Receiver) -> Pay:
    """Create a payment with the faults in its order's metadata, and let the customer pay."""

    def paying(*faults: object, act: str = "pay", **script: Any) -> dict[str, Any]:
        payment = create(sandbox, callbacks, sandbox={"faults": faults, **script})
        paid: dict[str, Any] = sandbox.act(payment["provider_ref"], act)
        return paid

    return paying


def create(sandbox: SandboxProcess, callbacks: Receiver, /, **metadata: Any) -> dict[str, Any]:
    body = {
        "merchant_ref": secrets.token_hex(16),
        "amount": 1250,
        "currency": "EUR",
        "callback_url": callbacks.url,
        "metadata": metadata,
    }
    payment: dict[str, Any] = sandbox.control("POST", "/v1/payments", body)
    return payment


def is_genuine(sandbox: SandboxProcess, received: Received) -> bool:
    try:
        Webhook(sandbox.secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


def states(sandbox: SandboxProcess, payment: dict[str, Any]) -> list[str]:
    return [delivery["state"] for delivery in sandbox.deliveries(payment["provider_ref"])]


def test_without_a_fault_one_genuine_callback_tells_the_truth(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay
) -> None:
    payment = pay()

    (came,) = callbacks.wait_for(1)

    told = json.loads(came.body)
    assert is_genuine(sandbox, came)
    assert told["type"] == "payment.captured"
    assert told["data"] == payment
    eventually(lambda: states(sandbox, payment) == ["delivered"])


def test_a_lost_callback_never_comes(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay
) -> None:
    payment = pay("callback_lost")

    # A later event that does come shows that the first would have, too.
    sandbox.set_faults(ref=payment["provider_ref"])
    sandbox.act(payment["provider_ref"], "dispute")
    (came,) = callbacks.wait_for(1)

    assert json.loads(came.body)["type"] == "dispute.opened"
    eventually(lambda: states(sandbox, payment) == ["lost", "delivered"])


def test_a_delayed_callback_comes_late(callbacks: Receiver, pay: Pay) -> None:
    started = time.monotonic()

    pay({"fault": "callback_delayed", "seconds": 0.6})

    callbacks.wait_for(1)
    assert time.monotonic() - started >= 0.6


def test_a_doubled_callback_comes_twice_under_one_id(callbacks: Receiver, pay: Pay) -> None:
    pay("callback_doubled")

    first, second = callbacks.wait_for(2)
    assert (first.event_id, first.body) == (second.event_id, second.body)


def test_out_of_order_the_newer_state_comes_first(callbacks: Receiver, pay: Pay) -> None:
    pay({"fault": "callback_out_of_order", "count": 1})

    types = [json.loads(came.body)["type"] for came in callbacks.wait_for(2)]
    assert types == ["payment.captured", "payment.processing"]


@pytest.mark.parametrize(("with_true", "genuine"), [(True, [False, True]), (False, [False])])
def test_a_forged_callback_has_another_id_and_a_wrong_signature(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay, with_true: bool, genuine: Any
) -> None:
    callbacks.answer = lambda came: 200 if is_genuine(sandbox, came) else 400

    payment = pay({"fault": "callback_forged", "with_true": with_true})

    came = callbacks.wait_for(len(genuine))
    assert [is_genuine(sandbox, each) for each in came] == genuine
    assert len({each.event_id for each in came}) == len(genuine)
    eventually(
        lambda: states(sandbox, payment) == ["given_up", "delivered"][: len(genuine)],
        saying="a refused forgery was not sent again",
    )


def test_a_truncated_callback_is_cut_after_signing(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay
) -> None:
    pay("callback_truncated")

    (came,) = callbacks.wait_for(1)
    assert not is_genuine(sandbox, came)
    with pytest.raises(json.JSONDecodeError):
        json.loads(came.body)


def test_a_garbled_callback_is_signed_nonsense(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay
) -> None:
    pay("callback_garbled")

    (came,) = callbacks.wait_for(1)
    Webhook(sandbox.secret).verify(came.body, came.headers, json_parse=False)
    with pytest.raises(json.JSONDecodeError):
        json.loads(came.body)


@pytest.mark.parametrize(
    ("fault", "field", "told"),
    [
        ("callback_wrong_amount", "captured", 1251),
        ({"fault": "callback_wrong_amount", "amount": 1}, "amount", 1),
        ("callback_wrong_currency", "currency", "XTS"),
    ],
)
def test_a_wrong_figure_is_signed_all_the_same(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay, fault: Any, field: str, told: object
) -> None:
    payment = pay(fault)

    (came,) = callbacks.wait_for(1)
    assert is_genuine(sandbox, came)
    assert json.loads(came.body)["data"][field] == told
    assert payment[field] != told


def test_a_callback_is_sent_again_until_it_is_taken(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay
) -> None:
    statuses = iter([500, 302, 404, 204])
    callbacks.answer = lambda _came: next(statuses)

    payment = pay()

    came = callbacks.wait_for(4)
    assert len({each.event_id for each in came}) == 1
    eventually(lambda: states(sandbox, payment) == ["delivered"])
    (delivery,) = sandbox.deliveries(payment["provider_ref"])
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 302, 404, 204]
    pauses = [
        b["at"] - a["at"]
        for a, b in zip(delivery["attempts"], delivery["attempts"][1:], strict=False)
    ]
    assert pauses == sorted(pauses)  # 1 s, 2 s, 4 s, each ±20 %, scaled


def test_a_fault_with_a_count_happens_that_often(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay
) -> None:
    payment = pay({"fault": "callback_lost", "count": 1})

    sandbox.act(payment["provider_ref"], "refund", 100)
    sandbox.act(payment["provider_ref"], "refund", 100)

    callbacks.wait_for(2)
    eventually(lambda: states(sandbox, payment) == ["lost", "delivered", "delivered"])


def test_global_faults_meet_every_payment(
    sandbox: SandboxProcess, callbacks: Receiver, pay: Pay
) -> None:
    sandbox.set_faults("callback_lost")

    assert states(sandbox, pay()) == ["lost"]
    assert states(sandbox, pay()) == ["lost"]


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
