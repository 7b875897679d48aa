"""Commands: each loads, decides and records in one transaction, and can be repeated or raced without harm."""

from datetime import timedelta

import pytest
from django.utils import timezone

from orders.commands import expiry, lifecycle, review
from orders.domain import events
from orders.domain.errors import (
    CannotCancel,
    IdempotencyConflict,
    IllegalMove,
    InvalidRequest,
    OrderNotFound,
)
from orders.models import JournalEpoch, Order, OrderEvent, Refund
from tests.builders import (
    API,
    STAFF,
    a_payment,
    an_order,
    an_order_that_is,
    at_once,
    database_contents,
    journal_of,
    tell,
    types_of,
)

pytestmark = pytest.mark.usefixtures("database")
LATER = timezone.now() + timedelta(days=400)


def test_an_order_begins_with_its_first_event() -> None:
    order, is_new = lifecycle.create_order(
        total=1_250, currency="EUR", cause=API, metadata={"cart": 7}, expires_in=3_600
    )

    row = OrderEvent.objects.get(order=order)
    deadline = order.expires_at
    assert deadline is not None
    assert is_new
    assert timedelta(minutes=59) < deadline - timezone.now() < timedelta(minutes=61)
    assert row.data == {"total": 1_250, "currency": "EUR", "expires_at": deadline.isoformat()}
    assert (row.version, row.source, row.actor) == (1, "api", "shop")
    assert Order.objects.get().metadata == {"cart": 7}


def test_the_same_key_gives_the_same_order() -> None:
    first, _ = lifecycle.create_order(total=5, currency="EUR", cause=API, idempotency_key="k")
    before = database_contents()

    again, is_new = lifecycle.create_order(
        total=5, currency="EUR", cause=API, idempotency_key="k", metadata={}
    )

    assert (again.ref, is_new) == (first.ref, False)
    assert database_contents() == before


@pytest.mark.parametrize(
    "change", [{"total": 6}, {"currency": "USD"}, {"metadata": {"a": 1}}, {"expires_in": 60}]
)
def test_the_same_key_with_another_body_is_refused(change: dict[str, object]) -> None:
    lifecycle.create_order(total=5, currency="EUR", cause=API, idempotency_key="k")
    before = database_contents()

    with pytest.raises(IdempotencyConflict, match="'k' was used before"):
        lifecycle.create_order(
            **{"total": 5, "currency": "EUR", "cause": API, "idempotency_key": "k", **change}  # type: ignore[arg-type]
        )

    assert database_contents() == before


def test_one_key_from_many_threads_makes_one_order() -> None:
    def create() -> tuple[Order, bool]:
        return lifecycle.create_order(total=5, currency="EUR", cause=API, idempotency_key="k")

    results = at_once(*[create] * 6)

    made = [result for result in results if not isinstance(result, Exception)]
    assert len(made) == 6
    assert sum(is_new for _, is_new in made) == 1
    assert {order.ref for order, _ in made} == {Order.objects.get().ref}


def test_a_customer_who_does_not_exist_is_refused_in_words() -> None:
    with pytest.raises(InvalidRequest, match="no user 4711"):
        lifecycle.create_order(total=5, currency="EUR", cause=API, customer_id=4711)

    assert not Order.objects.exists()


def test_an_order_that_was_never_sent_is_cancelled_at_once() -> None:
    order = an_order()

    cancelled, live = lifecycle.intend_cancellation(order.ref, reason="no more", cause=API)

    assert (cancelled.state, cancelled.is_cancelling, live) == ("cancelled", False, [])
    assert types_of(order) == ["order.created", "order.cancelled"]


def test_an_order_with_a_live_payment_waits_for_the_provider_and_notes_the_wish_once() -> None:
    order = an_order_that_is("awaiting_payment")
    payment = a_payment(order, "pending")

    for _ in range(2):
        wished, live = lifecycle.intend_cancellation(order.ref, reason="no more", cause=API)

    assert (wished.state, wished.is_cancelling, live) == ("awaiting_payment", True, [payment])
    assert types_of(order).count("order.cancellation_requested") == 1


def test_a_wish_to_cancel_ends_when_the_provider_confirms() -> None:
    order = an_order_that_is("awaiting_payment")
    payment = a_payment(order, "pending")
    lifecycle.intend_cancellation(order.ref, reason="no more", cause=API)

    assert tell(payment, "cancelled") == "applied"

    order.refresh_from_db()
    assert (order.state, order.is_cancelling) == ("cancelled", False)


def test_an_order_that_holds_money_cannot_be_cancelled() -> None:
    order = an_order_that_is("paid")
    before = database_contents()

    with pytest.raises(CannotCancel, match="refund it instead"):
        lifecycle.intend_cancellation(order.ref, reason="", cause=API)

    assert database_contents() == before


@pytest.mark.parametrize("state", ["cancelled", "expired"])
def test_a_closed_order_is_not_cancelled_again(state: str) -> None:
    with pytest.raises(IllegalMove, match="legal now: accept_late_payment"):
        lifecycle.intend_cancellation(an_order_that_is(state).ref, reason="", cause=API)


def test_a_late_payment_is_noted_and_flagged_and_accepted_by_staff() -> None:
    order = an_order_that_is("expired")
    payment = a_payment(order, "pending")

    tell(payment, "captured")
    accepted = review.accept_late_payment(order.ref, reason="we still have it", cause=STAFF)

    assert (accepted.state, accepted.captured, accepted.flags) == ("paid", 1_000, [])
    assert journal_of(order)[2:] == [
        (3, "payment.captured_late", "expired"),
        (4, "order.flagged", "expired"),
        (5, "order.late_payment_accepted", "paid"),
        (6, "order.review_cleared", "paid"),
    ]


def test_accepting_a_late_payment_leaves_other_flags_standing() -> None:
    order = an_order_that_is("expired")
    tell(a_payment(order, "pending"), "captured")
    review.flag_order(order.ref, reason="staff", detail="…", cause=STAFF)

    accepted = review.accept_late_payment(order.ref, reason="we still have it", cause=STAFF)

    assert (accepted.flags, accepted.needs_review) == (["staff"], True)


def test_a_late_payment_that_is_being_sent_back_is_not_accepted() -> None:
    order = an_order_that_is("expired")
    payment = a_payment(order, "pending")
    tell(payment, "captured")
    Refund.objects.create(payment=payment, amount=1_000)

    with pytest.raises(InvalidRequest, match="has a refund under way"):
        review.accept_late_payment(order.ref, reason="", cause=STAFF)


def test_a_late_payment_of_a_part_is_not_accepted() -> None:
    order = an_order_that_is("cancelled")
    tell(a_payment(order, "pending"), "captured", captured=400)

    with pytest.raises(InvalidRequest, match=r"holds 4\.00 EUR of 10\.00 EUR"):
        review.accept_late_payment(order.ref, reason="", cause=STAFF)


def test_an_order_that_is_not_closed_has_no_late_payment_to_accept() -> None:
    with pytest.raises(IllegalMove, match="'accept_late_payment' is not possible"):
        review.accept_late_payment(an_order_that_is("paid").ref, reason="", cause=STAFF)


def test_a_flag_is_raised_once_for_each_reason() -> None:
    order = an_order()

    for reason in ("mismatch", "conflict", "mismatch"):
        review.flag_order(order.ref, reason=reason, detail="look", cause=API)

    order.refresh_from_db()
    assert (order.flags, order.needs_review) == (["conflict", "mismatch"], True)
    assert types_of(order).count("order.flagged") == 2


def test_clearing_takes_all_flags_off_says_why_and_lets_them_rise_again() -> None:
    order = an_order()
    review.flag_order(order.ref, reason="mismatch", detail="look", cause=API)

    cleared = review.clear_review(order.ref, reason="a typing error", cause=STAFF)
    flagged = review.flag_order(order.ref, reason="mismatch", detail="again", cause=API)

    row = OrderEvent.objects.get(order=order, type="order.review_cleared")
    assert (cleared.flags, cleared.needs_review) == ([], False)
    assert (row.data, row.actor) == ({"cleared": ["mismatch"], "reason": "a typing error"}, "rosa")
    assert flagged.flags == ["mismatch"]


def test_there_must_be_a_flag_to_clear() -> None:
    with pytest.raises(InvalidRequest, match="no flag to clear"):
        review.clear_review(an_order().ref, reason="", cause=STAFF)


def test_an_order_expires_past_its_deadline_and_not_before() -> None:
    order = an_order(expires_in=60)

    assert not expiry.expire_order(order.ref, now=timezone.now(), cause=API)
    assert expiry.expire_order(order.ref, now=LATER, cause=API)
    assert not expiry.expire_order(order.ref, now=LATER, cause=API)

    order.refresh_from_db()
    assert order.expires_at is not None
    assert order.state == "expired"
    assert OrderEvent.objects.get(order=order, version=2).data == {
        "expired_at": order.expires_at.isoformat()
    }


@pytest.mark.parametrize("state", ["processing", "authorised", "paid", "cancelled"])
def test_an_order_that_is_on_its_way_or_closed_does_not_expire(state: str) -> None:
    assert not expiry.expire_order(an_order_that_is(state).ref, now=LATER, cause=API)


def test_an_order_does_not_expire_under_an_attempt_that_has_just_begun() -> None:
    order = an_order()
    a_payment(order, "intended")

    assert not expiry.expire_order(order.ref, now=LATER, cause=API)


def test_orders_that_hold_a_part_do_not_keep_others_from_expiring() -> None:
    stuck = an_order(expires_in=60)
    tell(a_payment(stuck, "pending"), "captured", captured=400)
    overdue = an_order(expires_in=61)

    assert expiry.overdue_orders(LATER, 1) == [overdue.ref]


def test_only_what_was_not_asked_since_the_deadline_is_hurried() -> None:
    now = timezone.now()
    order = an_order(expires_in=60)
    values = {"next_check_at": now + timedelta(days=1)}
    asked = a_payment(order, "pending", last_checked_at=now + timedelta(hours=1), **values)
    unasked = a_payment(order, "pending", **values)

    assert expiry.trigger_overdue(now + timedelta(hours=2)) == 1

    asked.refresh_from_db()
    unasked.refresh_from_db()
    assert asked.next_check_at == now + timedelta(days=1)
    assert unasked.next_check_at == now + timedelta(hours=2)


def test_an_order_that_is_not_there_is_not_found() -> None:
    with pytest.raises(OrderNotFound, match="ffff"):
        review.flag_order("f" * 32, reason="x", detail="", cause=API)


def test_a_new_epoch_is_another_word() -> None:
    before = JournalEpoch.objects.get().word

    word = lifecycle.begin_epoch()

    assert word != before
    assert JournalEpoch.objects.get().word == word


def test_events_carry_their_cause() -> None:
    order = an_order()
    review.flag_order(order.ref, reason="x", detail="y", cause=STAFF)

    row = OrderEvent.objects.get(order=order, version=2)
    flag = events.decode(row.type, row.schema, row.data)
    assert flag == events.OrderFlagged(reason="x", detail="y")
    assert (row.source, row.actor) == ("staff", "rosa")
