"""The callback rules (the table stands in `rules`), and what the events of the important ones say."""

from dataclasses import replace

import pytest

from orders.domain.current_payment import CurrentPayment
from orders.domain.decisions import Decision, Verdict, decide
from orders.domain.events import (
    DisputeOpened,
    Event,
    LatePaymentReceived,
    OrderFlagged,
    PaymentCaptured,
    PaymentFailed,
    RefundChanged,
    RefundFailed,
)
from orders.domain.states import MOVES
from orders.payments.base import Snapshot
from tests.orders.domain.rules import MISMATCH, ROWS, STEP_BACK, disputed, held, paid, refund, told


def shape(decision: Decision) -> tuple[str, list[str]]:
    """The decision in the table's words; a flag is named by its reason."""
    return str(decision.verdict), [_step(step.move, step.event) for step in decision.steps]


def _step(move: str | None, event: Event) -> str:
    name = f"flag {event.reason}" if isinstance(event, OrderFlagged) else event.type
    return f"{move}:{name}" if move else name


@pytest.mark.parametrize(("we_hold", "they_say", "verdict", "steps"), ROWS.values(), ids=[*ROWS])
def test_the_rules(
    we_hold: CurrentPayment, they_say: Snapshot, verdict: str, steps: list[str]
) -> None:
    decision = decide(we_hold, they_say)

    assert shape(decision) == (verdict, steps)
    assert bool(decision.detail) == (verdict in {STEP_BACK, MISMATCH})


@pytest.mark.parametrize(("we_hold", "they_say", "verdict", "steps"), ROWS.values(), ids=[*ROWS])
def test_whatever_is_applied_is_legal_from_step_to_step(
    we_hold: CurrentPayment, they_say: Snapshot, verdict: str, steps: list[str]
) -> None:
    moves = [step.move for step in decide(we_hold, they_say).steps if step.move]

    states = {we_hold.order_state}
    for move in moves:
        assert states & MOVES[move].sources
        states = set(MOVES[move].targets)


def events_of(we_hold: CurrentPayment, they_say: Snapshot) -> list[Event]:
    return [step.event for step in decide(we_hold, they_say).steps]


def test_an_event_says_what_the_whole_order_has_captured() -> None:
    assert events_of(held(amount=600, order_captured=400), told("captured", amount=600, captured=600)) == [
        PaymentCaptured(payment="p1", amount=600, captured=1_000)
    ]  # fmt: skip


def test_a_second_success_says_how_much_is_too_much() -> None:
    assert events_of(held("pending", "paid", order_captured=1_000), told("captured")) == [
        PaymentCaptured(payment="p1", amount=1_000, captured=2_000),
        OrderFlagged(
            reason="overpaid", detail="10.00 EUR more than the order's total was captured"
        ),
    ]


def test_a_part_says_how_much_is_missing() -> None:
    assert events_of(held(), told("captured", captured=400)) == [
        PaymentCaptured(payment="p1", amount=400, captured=400),
        OrderFlagged(reason="underpaid", detail="6.00 EUR of the order's total is missing"),
    ]


def test_money_for_a_closed_order_is_noted_and_a_person_called() -> None:
    assert events_of(held("pending", "expired"), told("captured")) == [
        LatePaymentReceived(payment="p1", amount=1_000, captured=1_000),
        OrderFlagged(
            reason="late_payment", detail="10.00 EUR arrived when the order was expired"
        ),
    ]  # fmt: skip


def test_a_failure_says_whether_the_order_fails_with_it() -> None:
    declined = told("failed", failure_code="card_declined", failure_message="No.")

    alone = PaymentFailed(payment="p1", code="card_declined", message="No.", fails_order=True)
    assert events_of(held(), declined) == [alone]
    assert events_of(held(has_other_live=True), declined) == [replace(alone, fails_order=False)]


def test_a_refund_of_their_console_that_failed_after_all_is_believed_of_an_answer() -> None:
    we_hold = paid("partially_refunded", refunded=300)
    they_say = told("captured", refunds=(refund(300, "failed", None),))

    answered = decide(we_hold, they_say, is_answer=True)
    assert [step.event for step in answered.steps] == [RefundChanged(payment="p1", refunded=0)]


def test_what_the_provider_calls_off_is_named_so() -> None:
    assert events_of(held(), told("cancelled")) == [
        PaymentFailed(payment="p1", code="cancelled", fails_order=True)
    ]


def test_a_failed_refund_lowers_what_went_back() -> None:
    we_hold = paid("refunded", refunded=1_000, refunds={"r1": "succeeded", "r2": "succeeded"})
    they_say = told("captured", refunds=(refund(400, "failed", "r1"), refund(600, ref="r2")))

    assert events_of(we_hold, they_say) == [
        RefundFailed(payment="p1", refund="r1", amount=400),
        RefundChanged(payment="p1", refunded=600),
    ]


def test_a_dispute_without_an_amount_is_about_all_that_was_taken() -> None:
    assert events_of(paid(), disputed("open", 0)) == [DisputeOpened(payment="p1", disputed=1_000)]


def test_a_step_back_says_what_is_held_and_what_is_told() -> None:
    assert decide(paid(), told("pending")) == Decision(
        verdict=Verdict.STEP_BACK,
        detail="the captured amount would fall from 10.00 EUR to 0.00 EUR",
    )
    assert decide(held("failed", "failed"), told("pending")) == Decision(
        verdict=Verdict.STEP_BACK, detail="the payment is pending at the provider, failed here"
    )


def test_a_mismatch_names_both_amounts() -> None:
    assert decide(held(), told("captured", amount=1_001, captured=1_001)) == Decision(
        verdict=Verdict.MISMATCH, detail="the amount is 10.01 EUR at the provider, 10.00 EUR here"
    )


@pytest.mark.parametrize(
    ("status", "move"),
    [("pending", "start"), ("processing", "process"), ("authorised", "authorise")],
)
def test_a_failed_payment_that_is_tried_again_is_believed_as_an_answer_and_not_as_a_message(
    status: str, move: str
) -> None:
    we_hold, they_say = held("failed", "failed"), told(status)

    heard = decide(we_hold, they_say)
    answered = decide(we_hold, they_say, is_answer=True)

    assert heard.verdict is Verdict.STEP_BACK
    assert [step.move for step in answered.steps] == [move]


def test_money_that_was_taken_is_not_untaken_by_an_answer() -> None:
    assert decide(paid(), told("failed"), is_answer=True).verdict is Verdict.STEP_BACK
    assert decide(paid(), told("pending"), is_answer=True).verdict is Verdict.STEP_BACK


def test_what_was_given_back_before_it_was_paid_counts_when_it_is() -> None:
    half_back = replace(
        held(), order_captured=500, order_refunded=250, amount=750, has_other_live=False
    )

    decision = decide(half_back, told("captured", amount=750, captured=750))

    assert [(step.move, step.event.type) for step in decision.steps][-2:] == [
        ("pay", "payment.captured"),
        ("refund_changed", "refund.changed"),
    ]
    assert all(step.event.type != "order.flagged" for step in decision.steps)


def test_a_refund_that_fails_after_the_rest_was_paid_leaves_too_much_here() -> None:
    half_back = replace(
        held("captured", "partially_refunded", captured=500, refunded=250),
        order_captured=1_250,
        refunds={"r1": "succeeded"},
    )

    decision = decide(half_back, told("captured", captured=500, refunds=(refund(250, "failed"),)))

    assert [step.event.type for step in decision.steps][-2:] == ["refund.changed", "order.flagged"]
