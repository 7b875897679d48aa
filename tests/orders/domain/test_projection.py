"""An order row is the fold of its events, and each event row carries the fold at its version."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.commands import expiry, lifecycle, review, snapshots
from orders.domain import events, projection, states
from orders.domain.errors import OrderError
from orders.journal import verify, writer
from orders.journal.facts import facts_of
from orders.models import Order, OrderEvent, Payment
from tests.builders import (
    API,
    EVENTS,
    a_payment,
    a_refund,
    an_order,
    an_order_that_is,
    told,
    types_of,
)

pytestmark = pytest.mark.usefixtures("database")

few = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
amounts = st.integers(min_value=0, max_value=2_500)


def folded(order: Order) -> projection.Facts:
    """The fold of the whole stream; on the way, each row must carry the fold at its version."""
    facts = projection.Facts()
    for row in OrderEvent.objects.filter(order=order).order_by("version"):
        facts = projection.fold(facts, events.decode(row.type, row.schema, row.data))
        assert (row.state, row.facts) == (facts.state, facts.public()), row
    return facts


def assert_history_and_row_agree(ref: str) -> None:
    order = Order.objects.get(ref=ref)
    assert facts_of(order) == folded(order)
    assert order.needs_review == bool(order.flags)
    assert order.version == OrderEvent.objects.filter(order=order).count()


@st.composite
def steps(draw: st.DrawFn) -> tuple[int, int, int]:
    return draw(st.integers(0, 50)), draw(amounts), draw(amounts)


def _event(name: str, some: int, other: int) -> events.Event:
    match name:
        case "pay":
            return events.PaymentCaptured(payment="p", amount=some, captured=1_000 + some)
        case "refund_changed":
            return events.RefundChanged(payment="p", refunded=some)
        case "open_dispute":
            return events.DisputeOpened(payment="p", disputed=other)
        case _:
            return EVENTS[name]


def _notes(some: int, other: int) -> list[events.Event]:
    return [
        events.OrderFlagged(reason=f"r{some % 3}", detail="…"),
        events.ReviewCleared(cleared=[f"r{other % 3}"], reason="seen"),
        events.CancellationRequested(),
        events.RefundRequested(payment="p", refund="r", amount=other),
        events.RefundFailed(payment="p", refund="r", amount=other),
        events.LatePaymentReceived(payment="p", amount=some, captured=some),
        events.PaymentFailed(payment="p", fails_order=False),
        events.ConflictFound(payment="p", ours="captured", theirs="pending"),
    ]


@few
@given(st.lists(steps(), min_size=20, max_size=40))
def test_any_legal_history_folds_to_its_row(history: list[tuple[int, int, int]]) -> None:
    ref = an_order().ref

    with transaction.atomic():
        order = Order.objects.locked(ref)
        for choice, some, other in history:
            legal = states.legal_moves(order.state)
            notes = _notes(some, other)
            if (number := choice % (len(legal) + len(notes))) < len(legal):
                order.make(legal[number], _event(legal[number], some, other), API)
            else:
                writer.record(order, notes[number - len(legal)], API)

    assert Order.objects.get(ref=ref).version == len(history) + 1
    assert_history_and_row_agree(ref)


_words = st.sampled_from(
    ["pending", "processing", "authorised", "captured", "failed", "cancelled", "expired"]
)
_said = st.fixed_dictionaries(
    {
        "captured": st.sampled_from([0, 400, 1_000]),
        "refunds": st.lists(
            st.builds(a_refund, st.sampled_from([100, 300]), st.sampled_from(["succeeded", "failed"])),
            max_size=2,
        ).map(tuple),
        "dispute": st.sampled_from([None, None, "open", "won", "lost"]),
    }
)  # fmt: skip
_talk = st.tuples(st.integers(0, 5), _words, _said)


@few
@given(st.lists(_talk, min_size=10, max_size=25))
def test_whatever_providers_say_the_row_is_what_the_events_say(
    talk: list[tuple[int, str, dict[str, Any]]],
) -> None:
    order = an_order()
    payments = [a_payment(order), a_payment(order), a_payment(order)]

    for who, word, values in talk:
        if who < len(payments):
            payment = payments[who]
            seen = Order.objects.get(pk=order.pk).version if values["captured"] else None
            snapshots.apply_snapshot(payment.pk, told(payment, word, **values), API, seen=seen)
        else:
            _meddle(order.ref, word)

    assert_history_and_row_agree(order.ref)
    order.refresh_from_db()
    assert order.captured == sum(p.captured for p in Payment.objects.filter(order=order))
    assert order.refunded == sum(p.refunded for p in Payment.objects.filter(order=order))


def _meddle(ref: str, word: str) -> None:
    try:
        if word == "cancelled":
            lifecycle.intend_cancellation(ref, reason="", cause=API)
        elif word == "expired":
            expiry.expire_order(ref, now=timezone.now() + timedelta(days=9), cause=API)
        elif word == "captured":
            review.accept_late_payment(ref, reason="", cause=API)
        else:
            review.clear_review(ref, reason="", cause=API)
    except OrderError:
        pass  # not possible now; the next one may be


@pytest.mark.parametrize("state", [*states.State])
def test_every_state_can_be_folded_from_its_history(state: str) -> None:
    assert_history_and_row_agree(an_order_that_is(state).ref)


def test_a_row_that_history_does_not_bear_out_is_found_and_rebuilt() -> None:
    right = an_order_that_is("partially_refunded")
    wrong = an_order_that_is("paid")
    Order.objects.filter(pk=wrong.pk).update(state="refunded", refunded=1_000, version=9)

    found = [str(difference) for difference in verify.differences(_quietly)]
    repaired = [str(difference) for difference in verify.rebuild(_quietly)]

    about = f"order {wrong.ref}:"
    assert found == repaired
    assert found == [
        f"{about} the row is at version 9, the stream at 2",
        f"{about} state is 'refunded' in the row, <State.PAID: 'paid'> by its events",
        f"{about} refunded is 1000 in the row, 0 by its events",
    ]
    assert list(verify.differences(_quietly)) == []
    assert Order.objects.get(pk=wrong.pk).changed_at == wrong.changed_at
    assert Order.objects.get(pk=right.pk).state == "partially_refunded"


def test_rebuilding_writes_no_event() -> None:
    order = an_order_that_is("paid")
    Order.objects.filter(pk=order.pk).update(captured=0)

    assert len(list(verify.rebuild(_quietly))) == 1

    assert types_of(order) == ["order.created", "payment.captured"]
    assert_history_and_row_agree(order.ref)


def _quietly(_done: int) -> None: ...
