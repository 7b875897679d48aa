"""A journal that was restored, or went back by a failover, over each transport: pages begin anew from what it has."""

from collections.abc import Callable

from django.db import connection, transaction

from orders.models import JournalEpoch, Order, OrderEvent
from tests.realtime.conftest import NEVER, epoch, grow, grow_and_announce, in_thread
from tests.realtime.endpoints.conftest import Watch
from tests.realtime.serving import Server

Start = Callable[..., Server]


async def test_a_restored_journal_gives_every_page_a_snapshot(
    start_server: Start, watch: Watch
) -> None:
    server = start_server(check=0.2)
    before = await epoch()
    async with watch(server=server, cursor=(before, 1)) as page:
        await page.in_step()
        try:
            await in_thread(JournalEpoch.objects.update, word="restored")
            await page.until(lambda p: p.snapshot.get("epoch") == "restored")
        finally:
            await in_thread(JournalEpoch.objects.update, word=before)


def _go_back(order: Order, version: int) -> None:
    """Make the journal one that never had more of the order than this."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        OrderEvent.objects.filter(order=order, version__gt=version).delete()
        Order.objects.filter(pk=order.pk).update(version=version)


async def test_a_journal_that_went_back_gives_every_page_a_snapshot(
    start_server: Start, watch: Watch, order: Order
) -> None:
    server = start_server(check=0.2)
    await grow(order, 4)
    async with watch(server=server, cursor=(await epoch(), 1)) as page:
        await page.until(lambda p: p.versions == [2, 3, 4, 5])

        await in_thread(_go_back, order, 3)
        await page.until(lambda p: p.snapshot.get("version") == 3)
        await grow_and_announce(order)

        await page.until(lambda p: p.versions[4:] == [4])


async def test_a_page_that_comes_after_a_journal_went_back_sees_what_the_journal_has(
    start_server: Start, watch: Watch, order: Order
) -> None:
    server = start_server(check=NEVER)
    await grow(order, 4)
    async with watch(server=server, cursor=(await epoch(), 1)) as page:
        await page.until(lambda p: p.versions == [2, 3, 4, 5])

        await in_thread(_go_back, order, 3)
        async with watch(server=server) as fresh:
            assert await fresh.in_step() == ("snapshot", 3)
            await page.until(lambda p: p.snapshot.get("version") == 3)

    assert fresh.versions == []


async def test_a_cursor_from_before_the_journal_went_back_gets_a_snapshot(
    start_server: Start, watch: Watch, order: Order
) -> None:
    server = start_server(check=NEVER)
    await grow(order, 4)
    await in_thread(_go_back, order, 3)

    async with watch(server=server, cursor=(await epoch(), 5)) as page:
        assert await page.in_step() == ("snapshot", 3)
