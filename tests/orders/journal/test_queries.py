"""Reading streams: heads, tails and epoch of one moment, whatever cursor a reader brings."""

import pytest
from django.db import transaction

from orders.domain.events import OrderFlagged
from orders.journal import queries, writer
from orders.models import JournalEpoch, Order
from tests.builders import API, an_order, an_order_that_is

pytestmark = pytest.mark.usefixtures("database")


def versions(stream: queries.Stream) -> list[int]:
    return [record.version for record in stream.events]


def test_each_reader_gets_what_it_misses_and_the_head() -> None:
    behind, level = an_order_that_is("charged_back"), an_order_that_is("paid")

    reading = queries.read_streams({behind.ref: 2, level.ref: 2, "f" * 32: 0})

    streams = reading.streams
    assert reading.epoch == JournalEpoch.objects.get().word
    assert set(streams) == {behind.ref, level.ref}
    assert (versions(streams[behind.ref]), streams[behind.ref].state) == ([3, 4], "charged_back")
    assert (versions(streams[level.ref]), streams[level.ref].version) == ([], 2)
    assert streams[behind.ref].events == queries.read_page(behind.ref, 2, 9).events


@pytest.mark.parametrize(("held", "missed"), [(-(10**20), [1, 2]), (-1, [1, 2]), (10**20, [])])
def test_a_cursor_from_nowhere_is_the_beginning_or_the_future(held: int, missed: list[int]) -> None:
    order = an_order_that_is("paid")

    stream = queries.read_streams({order.ref: held}).streams[order.ref]

    assert (versions(stream), stream.version, stream.is_cut) == (missed, 2, False)


def test_a_reader_that_is_too_far_behind_gets_no_tail() -> None:
    order = an_order()
    with transaction.atomic():
        locked = Order.objects.locked(order.ref)
        for number in range(queries.TAIL_LIMIT):
            writer.record(locked, OrderFlagged(reason=f"r{number % 3}", detail=""), API)

    all_of_it = queries.read_streams({order.ref: 0}).streams[order.ref]
    just_enough = queries.read_streams({order.ref: 1}).streams[order.ref]

    assert (all_of_it.events, all_of_it.is_cut, all_of_it.version) == ((), True, 301)
    assert (versions(just_enough), just_enough.is_cut) == ([*range(2, 302)], False)


def test_heads_are_read_for_all_that_exist() -> None:
    order = an_order_that_is("paid")

    assert queries.heads([order.ref, "f" * 32]) == (queries.epoch(), {order.ref: 2})
    assert queries.heads([]) == (queries.epoch(), {})
    assert queries.read_streams({}) == queries.Reading(epoch=queries.epoch(), streams={})
