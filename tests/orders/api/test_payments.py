"""Paying, cancelling, refunding and refreshing over the API, with a real provider process behind it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from orders import clock
from orders.models import Order, Payment, Refund
from orders.payments import registry
from orders.payments.base import Capabilities
from tests.builders import an_order, an_order_that_is, at_once, database_contents
from tests.orders.calling import at, call, problem
from tests.orders.conftest import take_away
from tests.orders.talking import paid
from tests.sandbox import SandboxProcess


def pay(order: Order, mode: str = "sync", **more: Any) -> Any:
    return call("post", at(order, "payments"), {"mode": mode}, **more)


def refund(order: Order, body: object, **headers: Any) -> Any:
    return call("post", at(order, "refunds"), body, **headers)


def test_paying_by_callback_answers_at_once_with_the_checkout(provider: SandboxProcess) -> None:
    answer = pay(an_order(), "callback")

    said = answer.json()
    assert answer.status_code == 202
    assert said["payment"]["status"] == "pending"
    assert said["payment"]["checkout_url"].startswith(provider.url)
    assert said["order"]["state"] == "awaiting_payment"
    assert said["order"]["payments"] == [said["payment"]]


@pytest.mark.parametrize(
    ("outcome", "status", "state", "code"),
    [
        ("paid", "captured", "paid", 200),
        ("declined", "failed", "failed", 200),
        ("authorised", "authorised", "authorised", 200),
        ("processing", "processing", "processing", 202),
    ],
)
def test_paying_synchronously_answers_with_the_result(
    provider: SandboxProcess, outcome: str, status: str, state: str, code: int
) -> None:
    answer = pay(an_order(metadata={"sandbox": {"outcome": outcome, "settle_after": 600}}))

    said = answer.json()
    assert answer.status_code == code
    assert (said["payment"]["status"], said["order"]["state"]) == (status, state)


def test_where_the_provider_has_no_answer_it_is_202(
    provider: SandboxProcess, settings: Settings
) -> None:
    take_away(settings)

    answer = pay(an_order())

    said = answer.json()
    assert answer.status_code == 202
    assert (said["payment"]["status"], said["order"]["state"]) == ("intended", "created")
    assert said["payment"]["next_check_at"] is not None


def test_the_same_key_pays_once(provider: SandboxProcess) -> None:
    order = an_order()

    refs = at_once(
        *[lambda: pay(order, "callback", Idempotency_Key="k").json()["payment"]["ref"]] * 4
    )

    assert set(refs) == {Payment.objects.get().ref}


def test_the_same_key_for_another_payment_is_a_problem(provider: SandboxProcess) -> None:
    order = an_order()
    pay(order, "callback", Idempotency_Key="k")

    assert problem(pay(order, "sync", Idempotency_Key="k")) == (422, "idempotency_key_reused")


@pytest.fixture
def offers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the house provider offer only what is named."""

    def only(**offered: bool) -> None:
        monkeypatch.setattr(registry.get("house"), "capabilities", Capabilities(**offered))

    return only


def test_a_provider_that_cannot_settle_at_once_is_not_asked_to(
    provider: SandboxProcess, offers: Callable[..., None]
) -> None:
    order = an_order()
    offers(synchronous=False)

    answer = pay(order, "sync")

    assert problem(answer) == (422, "not_offered")
    assert answer.json()["detail"].endswith("use mode callback.")
    assert not Payment.objects.exists()
    assert pay(order, "callback").status_code == 202


def test_a_payment_that_is_refused_is_a_problem(provider: SandboxProcess) -> None:
    order = an_order(metadata={"sandbox": {"outcome": "nonsense"}})

    assert problem(pay(order)) == (409, "provider_refused")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"mode": "later"}, "invalid_request"),
        ({"provider": "elsewhere"}, "unknown_provider"),
        ({"provider": "../house"}, "invalid_request"),
        ({"return_url": "javascript:alert(1)"}, "invalid_request"),
        ({"return_url": "https://x.example/\n"}, "invalid_request"),
        ({"amount": 1}, "invalid_request"),
    ],
)
def test_a_payment_that_makes_no_sense_changes_nothing(
    provider: SandboxProcess, body: dict[str, Any], code: str
) -> None:
    order = an_order()
    before = database_contents()

    assert problem(call("post", at(order, "payments"), body)) == (422, code)

    assert database_contents() == before


@pytest.mark.parametrize(
    ("path", "state"),
    [("payments", "paid"), ("payments", "expired"), ("cancel", "expired"), ("refunds", "created")],
)
def test_what_the_state_does_not_allow_is_a_problem(
    provider: SandboxProcess, path: str, state: str
) -> None:
    order = an_order_that_is(state)

    answer = call("post", at(order, path), {})

    assert problem(answer) == (409, "illegal_move")
    assert answer.json()["detail"].startswith(f"Order {order.ref} is {state}: ")


@pytest.mark.parametrize("path", ["payments", "cancel", "refunds", "refresh"])
def test_an_order_that_is_not_there_is_not_found(provider: SandboxProcess, path: str) -> None:
    answer = call("post", f"orders/{'f' * 32}/{path}", {})

    assert problem(answer) == (404, "order_not_found")


def test_an_order_is_cancelled_when_the_provider_has_confirmed(provider: SandboxProcess) -> None:
    order = an_order()
    pay(order, "callback")

    answer = call("post", at(order, "cancel"), {"reason": "changed my mind"})

    said = answer.json()
    assert (answer.status_code, said["state"], said["is_cancelling"]) == (200, "cancelled", False)


def test_until_the_provider_has_confirmed_it_is_202(
    provider: SandboxProcess, settings: Settings
) -> None:
    order = an_order()
    pay(order, "callback")
    take_away(settings)

    answer = call("post", at(order, "cancel"), {})

    said = answer.json()
    assert (answer.status_code, said["state"], said["is_cancelling"]) == (
        202, "awaiting_payment", True,
    )  # fmt: skip


def test_a_paid_order_cannot_be_cancelled(provider: SandboxProcess) -> None:
    order, _ = paid()

    assert problem(call("post", at(order, "cancel"), {})) == (409, "cannot_cancel")


def test_a_refund_is_accepted_and_shows_in_the_order(provider: SandboxProcess) -> None:
    order, payment = paid()

    answer = refund(order, {"amount": 300, "reason": "a scratch"})

    said = answer.json()
    assert answer.status_code == 202
    assert (said["payment"], said["amount"], said["status"]) == (payment.ref, 300, "succeeded")
    assert (said["order"]["state"], said["order"]["refunded"]) == ("partially_refunded", 300)


def test_the_same_key_refunds_once_and_another_amount_is_a_problem(
    provider: SandboxProcess,
) -> None:
    order, _ = paid()

    refs = at_once(*[lambda: refund(order, {"amount": 300}, Idempotency_Key="k").json()["ref"]] * 3)

    assert len(set(refs)) == 1
    order.refresh_from_db()
    assert order.refunded == 300
    assert problem(refund(order, {"amount": 400}, Idempotency_Key="k")) == (
        422, "idempotency_key_reused",
    )  # fmt: skip


def test_more_than_is_left_is_a_problem(provider: SandboxProcess) -> None:
    order, _ = paid()

    assert problem(refund(order, {"amount": 1_001})) == (422, "refund_exceeds_captured")


@pytest.mark.parametrize(
    ("offered", "amount", "said"),
    [
        ({"refund": False}, 1_000, "make it there, and the next check of the payment finds it."),
        ({"refund": True, "partial_refund": False}, 300, "the whole 10.00 EUR or nothing; 3.00 EUR was requested."),
    ],
)  # fmt: skip
def test_a_refund_that_the_provider_does_not_offer_is_not_begun(
    provider: SandboxProcess,
    offers: Callable[..., None],
    offered: dict[str, bool],
    amount: int,
    said: str,
) -> None:
    order, _ = paid()
    offers(**offered)

    answer = refund(order, {"amount": amount})

    assert problem(answer) == (422, "not_offered")
    assert answer.json()["detail"].endswith(said)
    assert not Refund.objects.exists()


def test_the_whole_can_be_refunded_where_no_part_can(
    provider: SandboxProcess, offers: Callable[..., None]
) -> None:
    order, _ = paid()
    offers(refund=True, partial_refund=False)

    assert refund(order, {}).json()["order"]["state"] == "refunded"


@pytest.mark.parametrize(
    "body",
    [{"amount": 0}, {"amount": "300"}, {"amount": 3.0}, {"reason": "a\x00b"}, {"reason": "x" * 501}],
)  # fmt: skip
def test_a_refund_that_makes_no_sense_is_refused(
    provider: SandboxProcess, body: dict[str, Any]
) -> None:
    order, _ = paid()

    assert problem(refund(order, body)) == (422, "invalid_request")


def test_a_refund_that_the_provider_refuses_is_a_problem(provider: SandboxProcess) -> None:
    order, payment = paid()
    provider.act(payment.ref, "refund", 900)

    assert problem(refund(order, {})) == (409, "provider_refused")


def test_a_refresh_says_what_was_found(provider: SandboxProcess) -> None:
    order = an_order()
    ref = pay(order, "callback").json()["payment"]["ref"]
    provider.act(ref, "pay")

    answer = call("post", at(order, "refresh"))

    said = answer.json()
    assert answer.status_code == 200
    assert (said["order"]["state"], said["order"]["payments"][0]["status"]) == ("paid", "captured")
    assert [(r["payment"], r["found"], r["state"]) for r in said["results"]] == [
        (ref, "applied", "paid")
    ]


def test_an_order_without_a_payment_has_nothing_to_refresh(provider: SandboxProcess) -> None:
    answer = call("post", at(an_order(), "refresh"))

    assert (answer.status_code, answer.json()["results"]) == (200, [])


# After its deadline


def _past_its_deadline(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(expires_at=clock.now() - timedelta(seconds=1))


def test_past_its_deadline_no_payment_begins_whatever_the_worker_does(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    _past_its_deadline(order)

    answer = pay(order)

    assert problem(answer) == (409, "deadline_passed")
    assert Payment.objects.count() == 0
    assert call("get", at(order)).json()["is_payable"] is False


def test_past_its_deadline_nothing_leads_into_a_payment_that_was_begun(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    begun = pay(order, "callback", Idempotency_Key="k").json()
    before = call("get", at(order))
    _past_its_deadline(order)

    after = call("get", at(order), If_None_Match=before["ETag"])
    again = pay(order, "callback", Idempotency_Key="k").json()

    assert begun["payment"]["checkout_url"].startswith("http")
    assert before.json()["is_payable"] is True
    assert (after.status_code, after.json()["is_payable"]) == (200, False)
    assert [each["checkout_url"] for each in after.json()["payments"]] == [""]
    assert (again["payment"]["ref"], again["payment"]["checkout_url"]) == (
        begun["payment"]["ref"], "",
    )  # fmt: skip
