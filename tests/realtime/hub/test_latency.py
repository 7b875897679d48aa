"""How late pages are, as the staff board shows it: for what a hint brought, and for what only the check found."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from orders.journal import queries
from orders.models import Order
from realtime.hub import latency
from realtime.hub.latency import PER_SECOND, Lateness
from realtime.protocol.messages import encode_event
from tests.realtime.conftest import NEVER, grow, grow_and_announce, in_thread
from tests.realtime.serving import Server, page
from tests.waiting import eventually_async


@pytest.fixture
def noted() -> Iterator[Lateness]:
    """This process's, empty."""
    latency.noted._minutes.clear()
    yield latency.noted
    latency.noted._minutes.clear()


def samples(noted: Lateness) -> list[float]:
    return [sample for _, minute in noted._minutes for sample in minute]


async def frame_of(order: Order, ago: timedelta) -> str:
    stream = (await in_thread(queries.read_streams, {order.ref: 0})).streams[order.ref]
    record = stream.events[0]
    return encode_event(type(record)(**{**vars(record), "at": timezone.now() - ago}))


async def test_an_events_age_is_read_from_its_frame(order: Order) -> None:
    measured = Lateness()

    measured.note(await frame_of(order, timedelta(seconds=2)))

    (p50, p95, count) = next(iter(measured.by_minute().values()))
    assert 2_000 <= p50 == p95 < 10_000
    assert count == 1


async def test_of_very_many_at_once_only_a_sample_is_taken(order: Order) -> None:
    measured = Lateness()
    frame = await frame_of(order, timedelta())

    for _ in range(20 * PER_SECOND):
        measured.note(frame)

    # The seconds turn meanwhile, and each of them has a sample.
    assert PER_SECOND <= len(samples(measured)) < 20 * PER_SECOND


async def test_what_is_no_event_is_passed_over() -> None:
    measured = Lateness()

    for frame in ("", "{}", '{"type":"event","at":"tomorrow"}', '{"at":"'):
        measured.note(frame)

    assert measured.by_minute() == {}


async def test_a_hint_that_comes_to_a_page_is_measured_once(
    start_server: Callable[..., Server], order: Order, noted: Lateness
) -> None:
    server = start_server(check=NEVER)
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()

        await grow_and_announce(order, 3)
        await watching.until(lambda p: p.versions() == [2, 3, 4])

    assert len(samples(noted)) == 3


async def test_what_only_the_position_check_found_is_measured_too(
    start_server: Callable[..., Server], order: Order, noted: Lateness
) -> None:
    server = start_server(check=0.2)
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()

        await grow(order, 2)
        await watching.until(lambda p: p.versions() == [2, 3])
        await eventually_async(lambda: len(samples(noted)) == 2)


async def test_what_a_page_reads_when_it_comes_is_not_late(
    start_server: Callable[..., Server], order: Order, noted: Lateness
) -> None:
    await grow(order, 5)
    async with page(start_server(check=NEVER), f"{order.ref}/?epoch=x&version=1") as watching:
        await watching.synced()

    assert samples(noted) == []
