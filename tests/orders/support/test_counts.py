"""The figures behind the staff board: what they count, and what they leave to an estimate."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from orders.models import CallbackReceipt, OrderEvent
from orders.support import counts
from orders.support.counts import Count, Total
from orders.support.hourly import LastHour, Minute
from tests.builders import a_payment, an_order, an_order_that_is, move
from tests.orders.staff import flagged

pytestmark = pytest.mark.usefixtures("database")
HOUR = timedelta(hours=1)


def written_at(at: datetime, **where: object) -> None:
    """As if these events had been written then; the journal itself would refuse it."""
    keys = tuple(OrderEvent.objects.filter(**where).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE orders_orderevent SET at = %s WHERE id = ANY(%s)", [at, list(keys)])
        cursor.execute("RESET session_replication_role")


def analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders_order")


def sums(minutes: list[Minute]) -> dict[str, int]:
    return {
        source: n
        for source in ("api", "callback", "reconciler", "staff")
        if (n := sum(minute.by[source] for minute in minutes))
    }


def test_open_states_are_counted_and_closed_ones_are_not() -> None:
    for state in ("created", "failed", "failed", "paid"):
        an_order_that_is(state)

    found = counts.read().open

    assert found["created"] == Count(1)
    assert found["failed"] == Count(2)
    assert found["processing"] == Count(0)
    assert set(found) == {str(state) for state in counts.OPEN}


def test_above_the_bound_it_is_said_that_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "COUNTED", 2)
    an_order()
    an_order()
    exactly = counts.read().open["created"]
    an_order()

    assert exactly == Count(2)
    assert counts.read().open["created"] == Count(2, is_more=True)


def test_what_needs_a_person_is_counted() -> None:
    order = flagged(an_order_that_is("paid"))
    late, soon = timezone.now() - HOUR, timezone.now() + HOUR
    a_payment(order, "pending", next_check_at=late)
    a_payment(order, "pending", next_check_at=soon)
    a_payment(order, "pending", next_check_at=timezone.now())  # due, and not overdue yet
    made = CallbackReceipt.objects.create
    for number in range(3):
        made(provider="h", event_id=f"t{number}", body="", outcome="unmatched", next_try_at=soon)
    made(provider="h", event_id="g", body="", outcome="unmatched", needs_review=True)
    made(provider="h", event_id="a", body="", outcome="applied")

    found = counts.read()

    assert [c.number for c in (found.flagged, found.overdue, found.unmatched, found.given_up)] == [
        1, 1, 3, 1,
    ]  # fmt: skip
    assert [(each.pk, each.flags) for each in found.newest] == [(order.pk, ("mismatch",))]


def test_few_orders_of_a_closed_state_are_counted_whatever_postgresql_estimates() -> None:
    analyse()
    for _ in range(4):
        an_order_that_is("paid")

    found = counts.read().closed

    assert found["paid"] == Total(4)
    assert found["expired"] == Total(0)
    assert set(found) == {str(state) for state in counts.CLOSED}


def test_many_orders_of_a_closed_state_are_as_postgresql_estimates_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counts, "EXACT", 2)
    for _ in range(4):
        an_order_that_is("paid")
    analyse()

    assert counts.read().closed["paid"] == Total(4, is_estimate=True)


def test_an_estimate_is_never_below_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    an_order_that_is("paid")
    analyse()
    monkeypatch.setattr(counts, "EXACT", 2)
    for _ in range(5):
        an_order_that_is("paid")

    total = counts.read().closed["paid"]

    assert total == Total(3, is_estimate=True)
    assert total.at_least(6) == Total(6, is_estimate=True)
    assert Total(18).at_least(23) == Total(18)  # five have been refunded since


def test_the_hour_tells_who_brought_what_and_where_orders_came_to() -> None:
    order = an_order_that_is("awaiting_payment")
    move(order.ref, "pay")
    flagged(order)  # noted while it is paid: it came to nothing by that
    an_order_that_is("expired")

    minutes = LastHour().read(timezone.now())

    assert len(minutes) == 60
    assert sums(minutes) == {"api": 6}
    assert sum((minute.closed for minute in minutes), start=minutes[0].closed.__class__()) == {
        "paid": 1, "expired": 1,
    }  # fmt: skip


def test_what_is_older_than_an_hour_is_not_in_it() -> None:
    now = timezone.now()
    old, recent = an_order(), an_order()
    written_at(now - timedelta(minutes=61), order=old)
    written_at(now - timedelta(minutes=30), order=recent)

    minutes = LastHour().read(now)

    assert sums(minutes) == {"api": 1}
    (at,) = (minute.at for minute in minutes if minute.by)
    assert at == (now - timedelta(minutes=30)).replace(second=0, microsecond=0)


def test_reading_on_counts_what_has_come_since_and_nothing_twice() -> None:
    hour, now = LastHour(), timezone.now()
    early = an_order()
    written_at(now - timedelta(minutes=5), order=early)
    first = sums(hour.read(now))

    an_order()
    second = sums(hour.read(now))
    third = sums(hour.read(timezone.now()))

    assert [first, second, third] == [{"api": 1}, {"api": 2}, {"api": 2}]


def test_a_minute_that_is_over_is_not_read_again() -> None:
    hour, now = LastHour(), timezone.now()
    order = an_order()
    written_at(now - timedelta(minutes=5), order=order)
    hour.read(now)

    # What nobody may do: but then it shows who still looks there.
    written_at(now - timedelta(hours=3), order=order)

    assert sums(hour.read(now)) == {"api": 1}
    assert sums(LastHour().read(now)) == {}


def test_an_hour_later_all_is_forgotten() -> None:
    hour, now = LastHour(), timezone.now()
    an_order()

    assert sums(hour.read(now)) == {"api": 1}
    assert sums(hour.read(now + timedelta(minutes=61))) == {}
    assert hour._minutes == {}


def test_minutes_come_in_order_and_end_with_the_present_one() -> None:
    now = datetime(2026, 11, 21, 9, 30, 12, tzinfo=UTC)

    times = [minute.at for minute in LastHour().read(now)]

    assert times == sorted(times)
    assert times[-1] == datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert times[0] == datetime(2026, 11, 21, 8, 31, tzinfo=UTC)
