"""Refunds and cancellations with a real provider process: noted, sent, lost on the way, and settled with their keys."""

from typing import Any

import pytest
from django.utils import timezone

from orders.commands import provider_calls, refunds, review
from orders.commands.snapshots import apply_snapshot
from orders.domain.errors import (
    IdempotencyConflict,
    IllegalMove,
    InvalidRequest,
    NothingToRefund,
    ProviderRefused,
)
from orders.models import Order, Payment, Refund
from orders.payments import registry
from tests.builders import (
    API,
    STAFF,
    a_payment,
    an_order,
    an_order_that_is,
    at_once,
    move,
    types_of,
)
from tests.orders.talking import looks, paid, refresh, start, theirs
from tests.sandbox import SandboxProcess


@pytest.mark.parametrize(
    ("amount", "state", "refunded"),
    [(300, "partially_refunded", 300), (1_000, "refunded", 1_000), (None, "refunded", 1_000)],
)
def test_a_refund_is_noted_sent_and_applied(
    provider: SandboxProcess, amount: int | None, state: str, refunded: int
) -> None:
    order, payment = paid()

    refund = refunds.request_refund(order.ref, amount=amount, reason="broken", cause=API)

    order.refresh_from_db()
    assert (refund.status, refund.amount) == ("succeeded", refunded)
    assert (order.state, order.refunded) == (state, refunded)
    assert types_of(order)[-2:] == ["refund.requested", "refund.changed"]
    assert [r["ref"] for r in theirs(provider, payment)["refunds"]] == [refund.ref]


def test_no_more_is_refunded_than_is_left(provider: SandboxProcess) -> None:
    order, _ = paid()
    refunds.request_refund(order.ref, amount=700, reason="", cause=API)

    with pytest.raises(NothingToRefund, match=r"3\.00 EUR left to refund; 3\.01 EUR was requested"):
        refunds.request_refund(order.ref, amount=301, reason="", cause=API)


def test_refunds_at_once_never_exceed_what_was_captured(provider: SandboxProcess) -> None:
    order, payment = paid()

    at_once(
        *[
            lambda: refunds.request_refund(order.ref, amount=400, reason="", cause=API)
        ] * 4
    )  # fmt: skip

    refresh(order)
    assert order.refunded == 800
    assert len(theirs(provider, payment)["refunds"]) == 2


def test_an_unpaid_order_has_nothing_to_refund(provider: SandboxProcess) -> None:
    with pytest.raises(IllegalMove, match="'refund' is not possible"):
        refunds.request_refund(an_order().ref, amount=1, reason="", cause=API)


def test_the_same_key_gives_the_same_refund_and_another_amount_is_refused(
    provider: SandboxProcess,
) -> None:
    order, payment = paid()

    def ask(amount: int | None) -> Refund:
        return refunds.request_refund(
            order.ref, amount=amount, reason="", cause=API, idempotency_key="k"
        )

    assert ask(300) == ask(300) == ask(None)
    with pytest.raises(IdempotencyConflict):
        ask(301)
    assert len(theirs(provider, payment)["refunds"]) == 1


@pytest.mark.parametrize(
    "fault",
    [{"fault": "connection_cut"}, {"fault": "answer_500"}, {"fault": "answer_503"}],
    ids=str,
)
def test_a_refund_lost_on_the_way_is_sent_again_with_its_key(
    provider: SandboxProcess, fault: dict[str, Any]
) -> None:
    order, payment = paid()
    provider.set_faults(fault | {"calls": ["refund"]})

    lost = refunds.request_refund(order.ref, amount=300, reason="", cause=API)
    assert (lost.status, Order.objects.get().state) == ("intended", "paid")
    refresh(order)

    lost.refresh_from_db()
    assert (lost.status, order.state, order.refunded) == ("succeeded", "partially_refunded", 300)
    assert [r["ref"] for r in theirs(provider, payment)["refunds"]] == [lost.ref]


def test_a_refund_whose_answer_was_lost_is_asked_about_and_not_sent_again(
    provider: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key may be forgotten there by now: sent again, it would be another one."""
    order, _ = paid()
    provider.set_faults({"fault": "answer_garbled", "calls": ["refund"]})
    lost = refunds.request_refund(order.ref, amount=300, reason="", cause=API)
    sent: list[object] = []
    monkeypatch.setattr(registry.get("house"), "refund", sent.append)

    assert lost.status == "intended"
    refresh(order)

    lost.refresh_from_db()
    assert (lost.status, Order.objects.get().refunded, sent) == ("succeeded", 300, [])


def test_a_refund_that_the_provider_refuses_is_noted_once_and_what_it_held_is_free_again(
    provider: SandboxProcess,
) -> None:
    order, payment = paid()
    provider.act(payment.ref, "refund", 900)  # in their console; we have not heard of it

    with pytest.raises(ProviderRefused, match="house refused the refund"):
        refunds.request_refund(order.ref, amount=1_000, reason="", cause=API)
    refused = Refund.objects.get()
    refunds._record_refusal(refused, API)  # asked twice at once: the other one's refusal

    refresh(order)
    assert refused.status == "refused"
    assert types_of(order).count("refund.failed") == 1
    assert (order.state, order.refunded) == ("partially_refunded", 900)
    rest = refunds.request_refund(order.ref, amount=None, reason="", cause=API)
    assert (rest.amount, rest.status) == (100, "succeeded")


# Calling off


def test_a_pending_payment_is_called_off_and_the_order_cancelled(provider: SandboxProcess) -> None:
    order = an_order()
    payment = start(order)

    cancelled = provider_calls.cancel_order(order.ref, reason="no more", cause=API)

    assert (cancelled.state, cancelled.is_cancelling) == ("cancelled", False)
    assert theirs(provider, payment)["status"] == "cancelled"
    assert types_of(order)[2:] == [
        "order.cancellation_requested", "payment.failed", "order.cancelled",
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["answer_503", "connection_cut", "answer_500"])
def test_a_wish_to_cancel_waits_for_the_provider(provider: SandboxProcess, fault: str) -> None:
    order = an_order()
    start(order)
    provider.set_faults({"fault": fault, "calls": ["cancel"]})

    wished = provider_calls.cancel_order(order.ref, reason="", cause=API)
    assert (wished.state, wished.is_cancelling) == ("awaiting_payment", True)
    refresh(order)

    assert (order.state, order.is_cancelling) == ("cancelled", False)


def test_a_wish_that_came_too_late_gives_way_to_the_money(provider: SandboxProcess) -> None:
    order = an_order()
    payment = start(order)
    provider.act(payment.ref, "pay")

    wished = provider_calls.cancel_order(order.ref, reason="", cause=API)
    assert wished.is_cancelling
    refresh(order)

    assert (order.state, order.is_cancelling) == ("paid", False)


def test_a_payment_that_never_arrived_there_is_closed_when_it_is_called_off(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    provider.set_faults({"fault": "answer_500", "calls": ["create"]})
    payment = start(order)

    cancelled = provider_calls.cancel_order(order.ref, reason="", cause=API)

    payment.refresh_from_db()
    assert (cancelled.state, payment.status, payment.failure_code) == (
        "cancelled", "failed", "never_sent",
    )  # fmt: skip


def test_a_create_that_arrives_there_after_its_order_was_cancelled_is_called_off_by_the_next_look(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    payment = a_payment(order)  # written down, and its create call still on the way
    cancelled = provider_calls.cancel_order(order.ref, reason="", cause=API)
    assert cancelled.state == "cancelled"

    made = registry.get("house").create(provider_calls.create_request(payment))
    apply_snapshot(payment.pk, made, API)
    payment.refresh_from_db()
    assert payment.next_check_at is not None
    assert payment.next_check_at <= timezone.now()  # the next tick looks
    refresh(order)

    assert theirs(provider, payment)["status"] == "cancelled"
    assert (order.state, order.flags) == ("cancelled", [])


def test_a_payment_that_they_once_had_is_not_closed_because_they_forgot_it(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    payment = start(order)
    Payment.objects.update(provider_ref="pay_forgotten")

    wished = provider_calls.cancel_order(order.ref, reason="", cause=API)

    payment.refresh_from_db()
    assert (wished.state, wished.is_cancelling) == ("awaiting_payment", True)
    assert (payment.status, looks()) == ("pending", ["not_found"])


# Money that came too late


def _paid_too_late(provider: SandboxProcess) -> tuple[Order, Payment]:
    order = an_order()
    payment = start(order)
    move(order.ref, "expire")
    provider.act(payment.ref, "pay")
    refresh(order)
    assert (order.state, order.captured, order.flags) == ("expired", 1_000, ["late_payment"])
    return order, payment


def test_a_late_payment_is_sent_back_and_nobody_has_to_decide_any_more(
    provider: SandboxProcess,
) -> None:
    order, payment = _paid_too_late(provider)

    (refund,) = refunds.return_late_payment(order.ref, reason="sold out", cause=STAFF)

    order.refresh_from_db()
    assert (refund.status, refund.amount) == ("succeeded", 1_000)
    assert (order.state, order.refunded, order.flags) == ("expired", 1_000, [])
    assert types_of(order)[-3:] == ["refund.requested", "refund.changed", "order.review_cleared"]
    assert len(theirs(provider, payment)["refunds"]) == 1
    with pytest.raises(NothingToRefund):
        refunds.return_late_payment(order.ref, reason="again", cause=STAFF)
    with pytest.raises(InvalidRequest, match=r"holds 0\.00 EUR"):
        review.accept_late_payment(order.ref, reason="", cause=STAFF)


def test_the_api_sends_a_late_payment_back_too(provider: SandboxProcess) -> None:
    order, _ = _paid_too_late(provider)

    refunds.request_refund(order.ref, amount=400, reason="", cause=API)

    order.refresh_from_db()
    assert (order.state, order.refunded, order.flags) == ("expired", 400, ["late_payment"])


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("state", ["paid", "created"])
def test_there_is_no_late_payment_to_send_back_from_an_order_that_is_not_closed(state: str) -> None:
    with pytest.raises(IllegalMove, match="'return_late_payment' is not possible"):
        refunds.return_late_payment(an_order_that_is(state).ref, reason="", cause=STAFF)


def test_a_closed_order_without_money_has_nothing_to_send_back(database: None) -> None:
    with pytest.raises(IllegalMove, match="'refund' is not possible"):
        refunds.return_late_payment(an_order_that_is("expired").ref, reason="", cause=STAFF)
