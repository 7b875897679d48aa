"""What providers call, from outside: real signatures, real commits, and every way a callback can be wrong."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.test import Client
from django.utils import timezone

from orders.callbacks import intake
from orders.callbacks.views import callback
from orders.models import CallbackReceipt, Order, Payment
from orders.schedule.profiles import MINUTE, SECOND
from tests.builders import (
    a_payment,
    an_order,
    an_order_that_is,
    at_once,
    database_contents,
    journal_of,
    types_of,
)
from tests.orders.deliveries import deliver, message, post, signed

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def payment(database: None) -> Payment:
    return a_payment(an_order_that_is("awaiting_payment"), "pending", profile="waiting")


def state_of(payment: Payment) -> str:
    return str(Order.objects.get(pk=payment.order_id).state)


def test_a_callback_moves_the_order_and_is_kept(payment: Payment) -> None:
    body = message(payment, "captured")

    answer = post(body, signed(body, "evt_7") | {"x-secret": "not kept"})

    receipt = CallbackReceipt.objects.get()
    assert (answer.status_code, answer.content) == (200, b"ok")
    assert state_of(payment) == "paid"
    assert (receipt.provider, receipt.event_id, receipt.kind) == (
        "house", "evt_7", "payment.captured",
    )  # fmt: skip
    assert (receipt.payment, receipt.outcome, receipt.deliveries) == (payment, "applied", 1)
    assert receipt.body.encode() == body
    assert set(receipt.headers) == {"content-type", "webhook-id", "webhook-timestamp"}


def test_a_duplicate_is_answered_with_success_and_changes_nothing(payment: Payment) -> None:
    deliver(payment, "captured")
    before = journal_of(payment.order)

    answer = deliver(payment, "captured")

    assert answer.status_code == 200
    assert journal_of(payment.order) == before
    assert CallbackReceipt.objects.values("outcome", "deliveries").get() == {
        "outcome": "applied",
        "deliveries": 2,
    }


def test_the_same_state_under_another_id_is_noted_on_its_receipt_only(payment: Payment) -> None:
    deliver(payment, "captured", "evt_1")
    before = journal_of(payment.order)

    answer = deliver(payment, "captured", "evt_2")

    assert answer.status_code == 200
    assert journal_of(payment.order) == before
    assert CallbackReceipt.objects.get(event_id="evt_2").outcome == "nothing_new"


def test_duplicates_at_once_are_all_accepted_and_applied_once(payment: Payment) -> None:
    answers = at_once(*[lambda: deliver(payment, "captured").status_code] * 5)

    assert answers == [200] * 5
    assert types_of(payment.order).count("payment.captured") == 1
    assert CallbackReceipt.objects.values("outcome", "deliveries").get() == {
        "outcome": "applied",
        "deliveries": 5,
    }


def test_different_callbacks_at_once_lead_to_one_history(payment: Payment) -> None:
    said = ["processing", "authorised", "captured", "captured"]

    answers = at_once(
        *[
            lambda status=status, number=number: (
                deliver(payment, status, f"evt_{number}").status_code
            )
            for number, status in enumerate(said)
        ]
    )

    assert answers == [200] * 4
    assert state_of(payment) == "paid"
    assert types_of(payment.order).count("payment.captured") == 1


FORGED = "whsec_" + "Zm9yZ2VkLWJ5LXNvbWVib2R5LWVsc2Utb3V0LXRoZXJl"


def _broken(payment: Payment) -> dict[str, tuple[bytes, dict[str, str]]]:
    body = message(payment, "captured")
    good, now = signed(body), timezone.now()
    return {
        "another secret": (body, signed(body, secret=FORGED)),
        "changed on the way": (body.replace(b"1000", b"9000"), good),
        "truncated": (body[: len(body) // 2], good),
        "empty": (b"", good),
        "no signature": (body, {}),
        "another's id": (body, good | {"webhook-id": "evt_2"}),
        "nonsense for a signature": (body, good | {"webhook-signature": "v1,%%%"}),
        "too old": (body, signed(body, at=now - timedelta(minutes=6))),
        "from the future": (body, signed(body, at=now + timedelta(minutes=6))),
        "NUL bytes": (b"\x00" * 100, good),
        "not UTF-8": (b"\xff\xfe" + body, good),
    }


def _signed_nonsense(payment: Payment) -> dict[str, bytes]:
    return {
        "a NUL in a text": message(payment, "captured", failure_code="a\x00b"),
        "no JSON": b"{",
        "not an object": b"[1]",
        "nothing in it": b"{}",
        "nested without end": b"[" * 9_000,
    }


def test_what_is_forged_is_refused_and_changes_nothing(payment: Payment) -> None:
    before = database_contents()

    answers = {name: post(*parts).status_code for name, parts in _broken(payment).items()}

    assert answers == dict.fromkeys(answers, 400)
    assert database_contents() == before


def test_what_is_signed_and_makes_no_sense_is_refused_and_kept_once_for_a_person(
    payment: Payment,
) -> None:
    nonsense = _signed_nonsense(payment)

    answers = [post(body, signed(body)).status_code for body in nonsense.values() for _ in "ab"]

    assert answers == [400] * 2 * len(nonsense)
    assert (state_of(payment), types_of(payment.order)[-1]) == (
        "awaiting_payment",
        "payment.started",
    )
    kept = CallbackReceipt.objects.filter(needs_review=True, outcome="malformed").order_by("pk")
    assert [(r.deliveries, bool(r.detail)) for r in kept] == [(2, True)] * len(nonsense)
    assert kept[1].body == "{"


def test_an_unknown_provider_is_not_found(payment: Payment) -> None:
    body = message(payment, "captured")

    assert post(body, signed(body), "elsewhere").status_code == 404
    assert state_of(payment) == "awaiting_payment"


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "patch"])
def test_only_post_is_taken(method: str) -> None:
    assert getattr(Client(), method)("/callbacks/house/").status_code == 405


def test_a_callback_that_is_far_too_large_is_refused() -> None:
    body = b"x" * (257 * 1024)

    assert post(body, signed(body)).status_code == 413


def test_one_that_does_not_say_how_large_it_is_is_refused_too() -> None:
    scope = {"type": "http", "method": "POST", "path": "/callbacks/house/", "headers": []}

    answer = callback(ASGIRequest(scope, BytesIO(b"x" * (257 * 1024))), "house")

    assert answer.status_code == 413


def test_one_that_matches_no_payment_is_kept_until_the_payment_turns_up(payment: Payment) -> None:
    stranger = Payment(ref="a" * 32, amount=1_000, currency="EUR", provider_ref="pay_9")
    now = timezone.now()

    answer = deliver(stranger, "captured")
    receipt = CallbackReceipt.objects.get()
    assert (answer.status_code, receipt.outcome) == (200, "unmatched")
    assert receipt.next_try_at is not None
    assert 4 * SECOND < receipt.next_try_at - now < 7 * SECOND

    late = a_payment(an_order(), ref=stranger.ref)
    assert intake.retry_unmatched(now) == []
    assert intake.retry_unmatched(now + 10 * SECOND) == [receipt]

    late.refresh_from_db()
    after = CallbackReceipt.objects.get()
    assert (after.outcome, after.payment, after.next_try_at) == ("asking", late, None)
    assert late.next_check_at is not None
    assert abs(late.next_check_at - timezone.now()) < 5 * SECOND


def test_one_that_matched_nothing_is_applied_when_it_is_sent_again(payment: Payment) -> None:
    stranger = Payment(ref="a" * 32, amount=1_000, currency="EUR", provider_ref="pay_9")
    deliver(stranger, "captured")
    late = a_payment(an_order(), ref=stranger.ref)

    answers = at_once(*[lambda: deliver(stranger, "captured").status_code] * 4)

    receipt = CallbackReceipt.objects.get()
    assert answers == [200] * 4
    assert state_of(late) == "paid"
    assert (receipt.outcome, receipt.deliveries, receipt.next_try_at) == ("applied", 5, None)


def test_one_that_never_matches_is_flagged_after_some_minutes() -> None:
    deliver(Payment(ref="a" * 32, amount=1, currency="EUR", provider_ref="pay_9"), "captured")
    now = began = timezone.now()

    while due := CallbackReceipt.objects.get().next_try_at:
        assert not CallbackReceipt.objects.get().needs_review
        now = due
        intake.retry_unmatched(now)

    receipt = CallbackReceipt.objects.get()
    assert (receipt.outcome, receipt.needs_review, receipt.tries) == ("unmatched", True, 7)
    assert 13 * MINUTE < now - began < 15 * MINUTE


def test_one_out_of_order_is_not_applied_and_the_provider_is_asked(payment: Payment) -> None:
    deliver(payment, "captured", "evt_2")
    before = journal_of(payment.order)

    answer = deliver(payment, "processing", "evt_1")

    payment.refresh_from_db()
    receipt = CallbackReceipt.objects.get(event_id="evt_1")
    assert answer.status_code == 200
    assert receipt.outcome == "asking"
    assert receipt.detail == "the captured amount would fall from 10.00 EUR to 0.00 EUR"
    assert journal_of(payment.order) == before
    assert payment.next_check_at is not None
    assert abs(payment.next_check_at - timezone.now()) < 5 * SECOND


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1_001, "captured": 1_001},
        {"currency": "XTS"},
        {"captured": 2_000},
        {"merchant_ref": "b" * 32},
        {"provider_ref": "pay_of_somebody_else"},
    ],
)
def test_a_mismatch_is_flagged_once_and_not_paid(payment: Payment, change: dict[str, Any]) -> None:
    answers = [
        deliver(payment, "captured", f"evt_{number}", **change).status_code for number in range(3)
    ]

    order = Order.objects.get(pk=payment.order_id)
    assert answers == [200] * 3
    assert (order.state, order.captured, order.flags) == ("awaiting_payment", 0, ["mismatch"])
    assert types_of(order).count("order.flagged") == 1
    assert {r.outcome for r in CallbackReceipt.objects.all()} == {"mismatch"}


def test_one_payments_reference_with_anothers_is_a_mismatch_and_no_error(payment: Payment) -> None:
    first = a_payment(an_order(), "intended")
    second = a_payment(an_order(), "pending")

    answer = deliver(first, "captured", provider_ref=second.provider_ref)

    assert answer.status_code == 200
    assert (state_of(first), state_of(second)) == ("created", "created")
    assert Order.objects.get(pk=second.order_id).flags == ["mismatch"]


def test_a_byte_order_mark_before_a_signed_body_is_not_minded(payment: Payment) -> None:
    body = b"\xef\xbb\xbf" + message(payment, "captured")

    answer = post(body, signed(body))

    assert answer.status_code == 200
    assert state_of(payment) == "paid"
