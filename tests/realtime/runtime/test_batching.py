"""Pages that come back by the hundred: their questions are gathered, and nothing is collected that stays anyway."""

import asyncio
import gc
from collections.abc import Callable

import pytest

from realtime import lifespan
from realtime.hub import local
from realtime.runtime.batching import ENOUGH, LEAST, MANY, MOST, Window
from tests.realtime.conftest import in_thread, many_orders
from tests.realtime.serving import Server, page

PAGES = 120


class Clock:
    """An event loop's time, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = self.due = 0.0
        self.call: Callable[[], None] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        self.due, self.call = self.now + delay, call

    def go_on(self) -> None:
        self.now = self.due
        assert self.call
        self.call()


@pytest.mark.parametrize(
    ("asks", "closed_at"),
    [
        ((1,), LEAST),
        ((MANY - 1,), LEAST),
        ((MANY, 1), 2 * LEAST),
        ((MANY, MANY, 0), 3 * LEAST),
        ((MANY,) * 40, MOST),
        ((ENOUGH,), LEAST),
        ((ENOUGH // 2, ENOUGH), 2 * LEAST),
    ],
)
def test_questions_are_gathered_as_long_as_many_ask(
    monkeypatch: pytest.MonkeyPatch, asks: tuple[int, ...], closed_at: float
) -> None:
    clock, closed = Clock(), list[float]()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    window = Window(lambda: closed.append(clock.now))

    for count in asks:
        for _ in range(count):
            window.ask()
        if not closed:
            clock.go_on()

    # A look that is due at the very end may come just before it.
    assert closed == [pytest.approx(closed_at, abs=LEAST * 1.01)]


async def test_pages_that_come_together_share_their_queries(
    start_server: Callable[..., Server], database: None
) -> None:
    server = start_server(check=3_600.0)
    refs = await in_thread(many_orders, PAGES)

    async def come(ref: str) -> None:
        async with page(server, f"{ref}/") as watching:
            await watching.synced()

    await asyncio.gather(*(come(ref) for ref in refs))

    assert local.running().health()["queries"] < PAGES / 2


def test_what_was_imported_is_none_of_the_garbage_collectors_business(
    start_server: Callable[..., Server],
) -> None:
    gc.unfreeze()

    start_server()

    assert gc.get_freeze_count() > 50_000
    assert gc.get_threshold() == lifespan.GC_THRESHOLDS
