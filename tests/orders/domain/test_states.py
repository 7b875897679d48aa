"""Every move from every state, against a table written out from the design and not from the code."""

import pytest
from django.db import transaction

from orders.domain import events, states
from orders.domain.errors import IllegalMove
from orders.models import Order
from tests.builders import API, EVENTS, an_order_that_is, database_contents, journal_of, move

pytestmark = pytest.mark.usefixtures("database")

STATES = [
    *("created", "awaiting_payment", "processing", "authorised", "failed"),
    *("paid", "partially_refunded", "refunded", "disputed", "charged_back"),
    *("cancelled", "expired"),
]

# move → from → to, with the events of the builders: 300 of 1000 refunded.
LEGAL: dict[str, dict[str, str]] = {
    "start": {"created": "awaiting_payment", "failed": "awaiting_payment"},
    "process": dict.fromkeys(["created", "awaiting_payment", "failed"], "processing"),
    "authorise": dict.fromkeys(
        ["created", "awaiting_payment", "processing", "failed"], "authorised"
    ),
    "pay": dict.fromkeys(
        ["created", "awaiting_payment", "processing", "authorised", "failed"], "paid"
    ),
    "fail": dict.fromkeys(["awaiting_payment", "processing", "authorised"], "failed"),
    "cancel": dict.fromkeys(
        ["created", "awaiting_payment", "processing", "authorised", "failed"], "cancelled"
    ),
    "expire": dict.fromkeys(["created", "awaiting_payment", "failed"], "expired"),
    "refund_changed": dict.fromkeys(
        ["paid", "partially_refunded", "refunded"], "partially_refunded"
    ),
    "open_dispute": dict.fromkeys(["paid", "partially_refunded", "refunded"], "disputed"),
    "win_dispute": {"disputed": "paid"},
    "lose_dispute": {"disputed": "charged_back"},
    "accept_late_payment": {"cancelled": "paid", "expired": "paid"},
}


@pytest.mark.parametrize("state", STATES)
def test_a_legal_move_changes_the_state_and_writes_one_event(state: str) -> None:
    for name in (name for name, ways in LEGAL.items() if state in ways):
        before = an_order_that_is(state)

        moved = move(before.ref, name)

        after = Order.objects.get(pk=before.pk)
        version, to = before.version + 1, LEGAL[name][state]
        assert (moved.version, moved.state) == (after.version, after.state) == (version, to)
        assert journal_of(after)[before.version :] == [(version, EVENTS[name].type, to)]


@pytest.mark.parametrize("state", STATES)
def test_an_illegal_move_is_refused_in_words_and_changes_nothing(state: str) -> None:
    ref = an_order_that_is(state).ref
    before = database_contents()
    legal = [name for name, ways in LEGAL.items() if state in ways]

    for name in LEGAL.keys() - legal:
        with transaction.atomic():
            order = Order.objects.locked(ref)
            in_memory = dict(vars(order))
            with pytest.raises(IllegalMove) as refusal:
                order.make(name, EVENTS[name], API)

        assert str(refusal.value) == (
            f"Order {ref} is {state}: {name!r} is not possible from there; "
            f"legal now: {', '.join(legal) or 'nothing'}."
        )
        assert vars(order) == in_memory
    assert database_contents() == before


def test_the_code_knows_these_states_and_moves_and_no_others() -> None:
    assert {state.value for state in states.State} == set(STATES)
    assert list(states.MOVES) == list(LEGAL)


@pytest.mark.parametrize("state", ["paid", "partially_refunded", "refunded"])
@pytest.mark.parametrize(
    ("refunded", "to"),
    [(0, "paid"), (1, "partially_refunded"), (999, "partially_refunded"), (1_000, "refunded")],
)
def test_a_refund_leads_where_the_amounts_say(state: str, refunded: int, to: str) -> None:
    order = an_order_that_is(state)

    moved = move(order.ref, "refund_changed", events.RefundChanged(payment="p1", refunded=refunded))

    assert (moved.state, moved.refunded) == (to, refunded)


@pytest.mark.parametrize(
    ("refunded", "to"), [(0, "paid"), (300, "partially_refunded"), (1_000, "refunded")]
)
def test_a_dispute_that_is_won_leads_back_where_the_amounts_say(refunded: int, to: str) -> None:
    order = an_order_that_is("paid")
    event = events.RefundChanged(payment="p1", refunded=refunded)
    move(order.ref, "refund_changed", event)
    move(order.ref, "open_dispute")

    won = move(order.ref, "win_dispute")

    assert (won.state, won.disputed) == (to, 0)


def test_a_state_cannot_be_set_by_hand() -> None:
    order = an_order_that_is("created")

    with pytest.raises(AttributeError, match="state"):
        order.state = "paid"
