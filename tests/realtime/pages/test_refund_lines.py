"""What came of each refund, told from the stream, and the receipt of it all."""

import pytest
from django.test import Client

from orders.domain.events import (
    DisputeLost,
    LatePaymentReceived,
    OrderFlagged,
    PaymentCaptured,
    RefundChanged,
    RefundFailed,
    RefundRequested,
)
from orders.domain.states import State
from orders.models import Order
from realtime.pages import order_view, refund_lines
from tests.builders import EVENTS, an_order, an_order_that_is, move
from tests.realtime.pages.reading import (
    for_script,
    granted,
    in_stream,
    page_of,
    shown_without_script,
    text_of,
)

pytestmark = pytest.mark.usefixtures("database")


def asked(amount: int) -> RefundRequested:
    return RefundRequested(payment="p1", refund="r", amount=amount)


def in_all(refunded: int) -> RefundChanged:
    return RefundChanged(payment="p1", refunded=refunded)


def failed(amount: int) -> RefundFailed:
    return RefundFailed(payment="p1", refund="r", amount=amount)


def told(order: Order) -> list[tuple[int, str]]:
    _epoch, stream = order_view.read(order.ref)
    return [(refund.amount, refund.state) for refund in refund_lines.of(stream.events)]


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([asked(300)], [(300, "sent")]),
        ([asked(300), in_all(300)], [(300, "done")]),
        ([asked(300), failed(300)], [(300, "failed")]),
        ([asked(300), asked(200), in_all(200)], [(300, "sent"), (200, "done")]),
        ([asked(300), asked(200), in_all(500)], [(300, "done"), (200, "done")]),
        # Made at the provider, nobody asked for it here.
        ([in_all(250)], [(250, "done")]),
        ([asked(300), in_all(700)], [(300, "done"), (400, "done")]),
        # It had arrived, and came back.
        ([asked(300), in_all(300), failed(300), in_all(0)], [(300, "failed")]),
        ([in_all(250), in_all(0)], [(250, "failed")]),
        # One of two like ones failed on its way; what is done stays done.
        (
            [asked(100), in_all(100), asked(100), failed(100)],
            [(100, "done"), (100, "failed")],
        ),
    ],
)
def test_each_refund_is_told_with_what_came_of_it(
    events: list[RefundRequested | RefundChanged | RefundFailed], found: list[tuple[int, str]]
) -> None:
    order = an_order_that_is("paid")

    for event in events:
        if isinstance(event, RefundChanged):
            move(order.ref, "refund_changed", event)
        else:
            in_stream(order, event)

    assert told(order) == found


def test_of_a_history_too_long_for_a_page_the_sum_of_the_refunds_is_kept() -> None:
    order = an_order_that_is("paid")
    move(order.ref, "refund_changed", in_all(300))
    in_stream(order, *[OrderFlagged(reason=f"test_{n}", detail="") for n in range(300)])
    move(order.ref, "refund_changed", in_all(500))

    assert told(order) == [(300, "done"), (200, "done")]


def test_the_page_shows_each_refund_and_hands_them_to_its_script() -> None:
    order = an_order_that_is("paid")
    in_stream(order, asked(300))
    move(order.ref, "refund_changed", in_all(300))
    in_stream(order, asked(200))

    answer = page_of(order)

    shown = shown_without_script(answer)
    assert "Refunds €3.00 Sent back" in shown
    assert "€2.00 On its way" in shown
    handed = [(each["amount"], each["state"]) for each in for_script(answer)["refunded"]]
    assert handed == [(300, "done"), (200, "sent")]


@pytest.mark.parametrize("closed", ["cancelled", "expired"])
def test_money_for_a_closed_order_is_said_to_be_safe_and_then_sent_back(closed: str) -> None:
    order = an_order_that_is(closed)
    in_stream(order, LatePaymentReceived(payment="p1", amount=1_000, captured=1_000))

    late = shown_without_script(page_of(order))
    in_stream(order, in_all(1_000))
    returned = shown_without_script(page_of(order))

    assert "Your payment arrived too late" in late
    assert "Nothing more will be charged" not in late
    assert "Your payment was sent back" in returned


def test_late_money_that_is_accepted_makes_the_order_paid() -> None:
    order = an_order_that_is("expired")
    in_stream(order, LatePaymentReceived(payment="p1", amount=1_000, captured=1_000))
    move(order.ref, "accept_late_payment", EVENTS["accept_late_payment"])

    assert "Paid, thank you" in shown_without_script(page_of(order))


def test_a_receipt_adds_up_what_came_and_what_went_back() -> None:
    order = an_order_that_is("created")
    move(order.ref, "start")
    in_stream(order, PaymentCaptured(payment="p1", amount=400, captured=400))
    move(order.ref, "pay", PaymentCaptured(payment="p2", amount=600, captured=1_000))
    in_stream(order, asked(250), asked(100))
    move(order.ref, "refund_changed", in_all(250))

    shown = shown_without_script(page_of(order, under="receipt/"))

    lines = [
        part.split(" UTC ")[1].split(" ")[0]
        for part in shown.split("Date Amount")[1].split("202")[1:]
    ]
    assert lines == ["€4.00", "€6.00", "−€2.50"]
    assert "Net amount paid €7.50" in shown


def test_a_lost_dispute_is_on_the_receipt() -> None:
    order = an_order_that_is("disputed")
    move(order.ref, "lose_dispute", DisputeLost(payment="p1", disputed=1_000))

    shown = shown_without_script(page_of(order, under="receipt/"))

    assert "Returned by your bank" in shown
    assert "Net amount paid €0.00" in shown


@pytest.mark.parametrize("state", [State.CREATED, State.FAILED, State.CANCELLED])
def test_where_no_money_has_come_there_is_no_receipt(state: State) -> None:
    order = an_order_that_is(state)
    answer = page_of(order, under="receipt/")

    assert [status for _, status in answer.redirect_chain] == [303, 302]  # type: ignore[attr-defined] # of `follow`
    assert answer.redirect_chain[-1][0] == f"/orders/{order.ref}/"  # type: ignore[attr-defined] # the same
    assert "Printable receipt" not in shown_without_script(page_of(order))


def test_nobody_gets_a_receipt_without_seeing_the_order() -> None:
    paid, other = an_order_that_is("paid"), an_order()

    answers = [
        Client().get(f"/orders/{paid.ref}/receipt/"),
        Client().get(granted(other, "receipt/").replace(other.ref, paid.ref), follow=True),
        Client().get(f"/orders/{'0' * 32}/receipt/"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert not any("€" in text_of(answer) for answer in answers)
