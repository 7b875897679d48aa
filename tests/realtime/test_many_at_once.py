"""Pages that come back by the hundred: their questions are gathered, and nothing is collected that stays anyway."""

import asyncio
import gc
from collections.abc import Callable

from realtime import lifespan, process
from realtime.coalescing import LEAST, MANY, MOST, Window
from tests.realtime.conftest import in_thread, many_orders
from tests.realtime.serving import Server, page

PAGES = 120


def test_the_window_grows_while_many_ask_and_is_short_again_when_few_do() -> None:
    window = Window()
    seen = []
    for gathered in (1, MANY, MANY, MANY, MANY, MANY, MANY - 1):
        window.closed(gathered)
        seen.append(window.seconds)

    assert seen == [LEAST, 2 * LEAST, 4 * LEAST, 8 * LEAST, MOST, MOST, LEAST]


async def test_pages_that_come_together_share_their_queries(
    start_server: Callable[..., Server], database: None
) -> None:
    server = start_server(check=3_600.0)
    refs = await in_thread(many_orders, PAGES)

    async def come(ref: str) -> None:
        async with page(server, f"{ref}/") as watching:
            await watching.synced()

    await asyncio.gather(*(come(ref) for ref in refs))

    assert process.running().health()["queries"] < PAGES / 2


def test_what_was_imported_is_none_of_the_garbage_collectors_business(
    start_server: Callable[..., Server],
) -> None:
    gc.unfreeze()

    start_server()

    assert gc.get_freeze_count() > 50_000
    assert gc.get_threshold() == lifespan.GC_THRESHOLDS
