"""The journal: no holes, no second writer, nothing outside a transaction, nothing rewritten."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from orders.domain import events
from orders.domain.errors import NotInTransaction, NotLocked, ProjectionDisagrees
from orders.domain.events import EventRecord
from orders.journal import writer
from orders.models import JournalEpoch, Order, OrderEvent
from orders.signals import order_event_recorded
from tests.builders import (
    API,
    EVENTS,
    an_order,
    an_order_that_is,
    at_once,
    database_contents,
    journal_of,
    move,
    refused,
)

pytestmark = pytest.mark.usefixtures("database")

NOTE = events.CancellationRequested(reason="no reason")


def flag(number: int) -> events.OrderFlagged:
    return events.OrderFlagged(reason=f"reason_{number}", detail="…")


@pytest.fixture
def heard() -> Iterator[list[tuple[bool, EventRecord]]]:
    """What the signal said, and whether a transaction was open."""
    said: list[tuple[bool, EventRecord]] = []

    def listen(record: EventRecord, **_rest: Any) -> None:
        said.append((connection.in_atomic_block, record))

    order_event_recorded.connect(listen)
    yield said
    order_event_recorded.disconnect(listen)


def test_versions_begin_at_one_and_have_no_holes() -> None:
    order = an_order_that_is("charged_back")

    assert journal_of(order) == [
        (1, "order.created", "created"),
        (2, "payment.captured", "paid"),
        (3, "dispute.opened", "disputed"),
        (4, "dispute.lost", "charged_back"),
    ]
    assert order.version == 4


def test_a_move_outside_a_transaction_is_refused() -> None:
    order = an_order()
    order.is_locked = True
    before = database_contents()

    with pytest.raises(NotInTransaction, match=order.ref):
        order.make("start", EVENTS["start"], API)

    assert order.state == "created"
    assert database_contents() == before


def test_an_order_is_not_made_outside_a_transaction() -> None:
    with pytest.raises(NotInTransaction):
        writer.open_stream(Order(), events.OrderCreated(total=1, currency="EUR"), API)

    assert not Order.objects.exists()


def test_a_move_of_an_order_that_was_not_locked_is_refused() -> None:
    order = an_order()
    before = database_contents()

    with transaction.atomic(), pytest.raises(NotLocked, match="load it with Order"):
        order.make("start", EVENTS["start"], API)

    assert (order.state, order.version) == ("created", 1)
    assert database_contents() == before


def test_a_stale_order_is_refused_again_and_again() -> None:
    with transaction.atomic():
        stale = Order.objects.locked(an_order().ref)
    move(stale.ref, "process")
    before = database_contents()

    for _ in range(3):
        with transaction.atomic(), pytest.raises(NotLocked, match="moved past version 1"):
            writer.record(stale, flag(1), API)
        with transaction.atomic(), pytest.raises(NotLocked, match="moved past version 1"):
            stale.make("pay", EVENTS["pay"], API)

    assert (stale.state, stale.version, stale.captured) == ("created", 1, 0)
    assert database_contents() == before


def test_a_transaction_that_is_rolled_back_leaves_nothing() -> None:
    order = an_order()
    before = database_contents()

    with transaction.atomic():
        locked = Order.objects.locked(order.ref)
        locked.make("pay", EVENTS["pay"], API)
        writer.record(locked, flag(1), API)
        transaction.set_rollback(True)

    assert database_contents() == before


def test_what_is_rolled_back_leaves_no_hole_behind() -> None:
    order = an_order()
    with transaction.atomic():
        Order.objects.locked(order.ref).make("pay", EVENTS["pay"], API)
        transaction.set_rollback(True)

    move(order.ref, "process")

    assert [version for version, _, _ in journal_of(order)] == [1, 2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders_orderevent SET state = 'paid'",
        "UPDATE orders_orderevent SET data = data",
        "DELETE FROM orders_orderevent",
        "TRUNCATE orders_orderevent",
        "TRUNCATE orders_orderevent CASCADE",
        "TRUNCATE orders_order CASCADE",
        "DELETE FROM orders_order",
    ],
)
def test_postgresql_itself_refuses_to_rewrite_history(statement: str) -> None:
    an_order_that_is("paid")
    before = database_contents()

    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(statement)

    assert database_contents() == before


def test_the_orm_is_refused_too() -> None:
    row = OrderEvent.objects.get(order=an_order())

    with pytest.raises(DatabaseError, match="Cannot update or delete"):
        row.delete()
    with pytest.raises(DatabaseError, match="Cannot update or delete"):
        row.save()


def test_two_events_of_one_version_are_refused_by_the_database() -> None:
    row = OrderEvent.objects.get(order=an_order())
    row.id = 0

    with pytest.raises(DatabaseError, match="event_version"):
        row.save(force_insert=True)


def test_each_event_is_signalled_inside_the_transaction(
    heard: list[tuple[bool, EventRecord]],
) -> None:
    order = an_order_that_is("paid")

    row = OrderEvent.objects.get(order=order, version=2)
    facts = {"total": 1_000, "currency": "EUR", "captured": 1_000, "refunded": 0}
    assert [in_transaction for in_transaction, _ in heard] == [True, True]
    assert heard[1][1] == EventRecord(
        order=order.ref,
        epoch=JournalEpoch.objects.get().word,
        version=2,
        type="payment.captured",
        state="paid",
        data={"payment": "p1", "amount": 1_000, "captured": 1_000},
        facts={**facts, "disputed": 0, "needs_review": False},
        source="api",
        actor="shop",
        at=row.at,
    )
    assert row.facts == heard[1][1].facts


def test_a_listener_that_fails_takes_the_change_back(
    heard: list[tuple[bool, EventRecord]],
) -> None:
    order = an_order()
    before = database_contents()

    def refuse(**_rest: Any) -> None:
        raise RuntimeError

    order_event_recorded.connect(refuse)
    try:
        with pytest.raises(RuntimeError):
            move(order.ref, "pay")
    finally:
        order_event_recorded.disconnect(refuse)

    assert database_contents() == before


def test_two_threads_on_one_order_are_both_written_without_a_hole() -> None:
    order = an_order()

    @transaction.atomic
    def note(number: int) -> None:
        writer.record(Order.objects.locked(order.ref), flag(number), API)

    results = at_once(*[lambda number=number: note(number) for number in range(5)])

    order.refresh_from_db()
    assert refused(results) == []
    assert [version for version, _, _ in journal_of(order)] == list(range(1, 7))
    assert order.flags == [f"reason_{number}" for number in range(5)]


def test_of_two_moves_at_once_the_loser_finds_the_winners_state() -> None:
    order = an_order()

    results = at_once(lambda: move(order.ref, "cancel"), lambda: move(order.ref, "expire"))

    order.refresh_from_db()
    assert len(refused(results)) == 1
    assert order.state in {"cancelled", "expired"}
    assert order.version == 2


def test_a_fold_that_disagrees_with_the_state_machine_writes_nothing() -> None:
    order = an_order()
    before = database_contents()

    with transaction.atomic():
        locked = Order.objects.locked(order.ref)
        too_little = events.PaymentCaptured(payment="p1", amount=1, captured=1)
        with pytest.raises(
            ProjectionDisagrees, match="folds to created, the state machine says paid"
        ):
            locked.make("pay", too_little, API)

    assert (locked.state, locked.version, locked.captured) == ("created", 1, 0)
    assert database_contents() == before


def test_an_event_that_would_move_the_order_is_not_taken_without_its_move() -> None:
    order = an_order()
    before = database_contents()

    with transaction.atomic(), pytest.raises(ProjectionDisagrees):
        writer.record(Order.objects.locked(order.ref), EVENTS["cancel"], API)

    assert database_contents() == before


def test_an_event_without_a_move_changes_the_facts_and_not_the_state() -> None:
    order = an_order()

    with transaction.atomic():
        writer.record(Order.objects.locked(order.ref), NOTE, API)

    order.refresh_from_db()
    assert (order.state, order.version, order.is_cancelling) == ("created", 2, True)
