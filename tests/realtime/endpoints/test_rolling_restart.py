"""Two web processes behind nginx are restarted one after the other, and no page loses or doubles anything."""

import asyncio
import random
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from orders.models import Order, OrderEvent
from tests.builders import an_order
from tests.chaos.pages import Page, stop
from tests.chaos.plan import Life, Visit
from tests.chaos.verdict import Fact, judge
from tests.chaos.wires import Wire
from tests.realtime import serving
from tests.realtime.conftest import grow_and_announce, in_thread
from tests.realtime.nginx import nginx
from tests.realtime.serving import ServerProcess
from tests.waiting import eventually_async

StartProcess = Callable[..., ServerProcess]
PAGES = 30


class Staying(Life):
    """A page that never leaves by itself."""

    def next(self) -> Visit:
        return Visit(stay=3_600, ending="close", away=0, moves=False)


class These:
    """The orders that there are to watch."""

    def __init__(self, refs: Sequence[str]) -> None:
        self._refs = refs

    def some(self, rng: random.Random, count: int) -> list[str]:
        return rng.sample(self._refs, min(count, len(self._refs)))


@asynccontextmanager
async def pages_at(port: int, refs: Sequence[str]) -> AsyncIterator[list[Page]]:
    """Many pages that come back when they are sent away; a third of them by event stream."""
    never = asyncio.Event()
    async with AsyncExitStack() as cleanup:
        made = []
        for number in range(PAGES):
            wire = Wire(lambda: [port])
            await wire.open()
            cleanup.callback(wire.close)
            made.append(Page(number, Staying(1, number), wire, These(refs), is_sse=number % 3 == 0))
        living = [asyncio.create_task(page.live(never)) for page in made]
        cleanup.push_async_callback(stop, living)
        yield made


async def grow_until(over: asyncio.Event, orders: Sequence[Order]) -> None:
    while not over.is_set():
        for order in orders:
            await grow_and_announce(order)


async def restart(process: ServerProcess) -> None:
    """As a deploy does: SIGTERM, wait for the end, start the new one in its place."""
    process.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.process.wait, 30)
    process.start()
    await asyncio.to_thread(process.wait)


def journal(orders: Sequence[Order]) -> dict[str, list[Fact]]:
    return {
        order.ref: [
            Fact(event.version, f"{order.ref}:{event.version}", event.at.timestamp())
            for event in OrderEvent.objects.filter(order=order).order_by("version")
        ]
        for order in orders
    }


async def test_a_rolling_restart_behind_nginx_loses_and_doubles_nothing(
    start_process: StartProcess, database: None, tmp_path: Path
) -> None:
    orders = [await in_thread(an_order) for _ in range(3)]
    refs = [order.ref for order in orders]
    processes = [start_process(), start_process()]
    for process in processes:
        await asyncio.to_thread(process.wait)
    over = asyncio.Event()

    with nginx(tmp_path, *(process.port for process in processes)) as port:
        async with pages_at(port, refs) as pages:
            await eventually_async(lambda: all(_is_whole(page) for page in pages), 15)
            growing = asyncio.create_task(grow_until(over, orders))
            for process in processes:
                await restart(process)
                await eventually_async(lambda: all(_is_whole(page) for page in pages), 15)
            over.set()
            await growing
            facts = await in_thread(journal, orders)
            heads = {ref: stream[-1].version for ref, stream in facts.items()}
            await eventually_async(lambda: all(_is_at(page, heads) for page in pages), 15)

    verdict = judge({page.number: page.tracks for page in pages}, facts, ())
    assert verdict.is_clean, verdict.examples
    assert min(heads.values()) > 20
    assert all(page.farewells for page in pages), "one was cut off without a word"
    assert not [p.port for p in processes if "Traceback" in p.output()]
    log = (tmp_path / "access.log").read_text()
    assert refs[0] in log
    assert "?" not in log


def _is_whole(page: Page) -> bool:
    return bool(page.current) and all(track.is_whole for track in page.current.values())


def _is_at(page: Page, heads: dict[str, int]) -> bool:
    return _is_whole(page) and all(t.version == heads[t.order] for t in page.current.values())


def test_a_process_whose_hub_cannot_begin_does_not_serve_without_one(
    start_process: StartProcess,
) -> None:
    server = start_process(misspelt=1)

    assert server.process.wait(60) != 0
    assert "unexpected keyword argument 'misspelt'" in server.output()


def test_a_process_whose_address_is_taken_says_so_and_ends(
    start_process: StartProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins and stops in the same moment, while its hub is still connecting to Valkey."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(serving, "free_port", lambda: taken.getsockname()[1])
        server = start_process()

        assert server.process.wait(60) != 0
    assert "address already in use" in server.output()
