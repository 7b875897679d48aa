"""The sandbox's faults of callbacks: each one, as the receiver of its callbacks and the caller of its API sees it."""

import html
import json
import time
from typing import Any

import pytest
from standardwebhooks import Webhook

from orders.payments.sandbox.faults import EXPLAINED, GROUPS, LABELS
from tests.orders.payments.paying import Pay, create, is_genuine, states
from tests.orders.payments.receiver import Receiver
from tests.sandbox import SandboxProcess
from tests.waiting import eventually


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


def test_what_is_armed_in_a_page_is_over_after_its_time(
    sandbox: SandboxProcess, callbacks: Receiver
) -> None:
    payment = create(sandbox, callbacks)
    over, waiting = time.time() - 1, time.time() + 60
    armed = [{"fault": "answer_500", "until": over}, {"fault": "answer_503", "until": waiting}]
    sandbox.set_faults(*armed, ref=payment["provider_ref"])

    told = sandbox.client.get(f"/payments/{payment['provider_ref']}").text
    statuses = [
        sandbox.client.get(f"/v1/payments/{payment['provider_ref']}").status_code for _ in range(2)
    ]

    assert "unavailable (503) · once · until" in told
    assert "server error (500) · once" not in told
    assert statuses == [503, 200]
    spent = sandbox.client.get(f"/payments/{payment['provider_ref']}").text
    assert "Next call: unavailable (503) (fetch)" in spent
    assert "· until" not in spent


def test_a_fault_of_the_next_call_that_is_set_in_a_page_is_armed_for_two_minutes(
    sandbox: SandboxProcess, callbacks: Receiver
) -> None:
    payment = create(sandbox, callbacks)
    page = f"/payments/{payment['provider_ref']}"

    sandbox.client.post(f"{page}/faults", data={"fault": ["answer_429", "callback_lost"]})

    armed = {
        fault["fault"]: fault["until"]
        for fault in sandbox.control("GET", f"payments/{payment['provider_ref']}/faults")["faults"]
    }
    assert armed.keys() == {"answer_429", "callback_lost"}
    assert 60 < armed["answer_429"] - time.time() <= 120
    assert armed["callback_lost"] is None


def test_every_fault_says_what_it_does_and_stands_where_one_sees_something_of_it(
    sandbox: SandboxProcess,
) -> None:
    grouped = [kind for _, kinds in GROUPS for kind in kinds]

    assert sorted(grouped) == sorted(LABELS) == sorted(EXPLAINED)
    console = html.unescape(sandbox.client.get("/").text)
    assert all(words in console for words in EXPLAINED.values())
