"""Event streams that are not read, on a real web process: they cost the others nothing, and it a bounded amount."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil

from orders.models import Order
from tests.realtime.conftest import NEVER, announce, epoch, grow, padded
from tests.realtime.serving import ServerProcess, socket_that_holds_little
from tests.realtime.viewers import View, watching
from tests.waiting import eventually_async

StartProcess = Callable[..., ServerProcess]
SERVICE = "demo-service-token"
PADDING = 60_000  # bytes
EVENTS = 150  # times the padding: 9 MB, more than every buffer on the way holds
SLOW = 12  # streams
BOUND = 1_500_000  # bytes for each of them: uvicorn's buffer, the system's, and one frame


@contextmanager
def unread_streams(port: int, order: Order, at: str, count: int) -> Iterator[list[socket.socket]]:
    """Streams that were asked for and are not read."""
    opened = []
    try:
        for _ in range(count):
            each = socket_that_holds_little(port)
            opened.append(each)
            each.sendall(
                f"GET /api/orders/{order.ref}/stream HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {SERVICE}\r\nLast-Event-ID: {at}\r\n\r\n".encode()
            )
        yield opened
    finally:
        for each in opened:
            each.close()


def hub(server: ServerProcess) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/health/ready", trust_env=False).json()["hub"]
    return found


async def flood(order: Order, quick: View) -> None:
    for hint in await grow(order, EVENTS):
        await announce(padded(hint, PADDING))
        version = int(str(hint[2]))
        await quick.until(lambda v, n=version: n in v.versions[-1:], 30)  # type: ignore[misc]


async def test_streams_that_read_nothing_are_ended_and_cost_the_others_nothing(
    start_process: StartProcess, order: Order
) -> None:
    server = start_process(check=NEVER, deaf=60, write=1.0, close_grace=0.5, linger=0.2).wait()
    at = (await epoch(), 1)
    async with watching("sse", server, order.ref, token=SERVICE, cursor=at) as quick:
        await quick.in_step()
        with unread_streams(server.port, order, f"{at[0]}:1", SLOW):
            await eventually_async(lambda: hub(server)["connections"] == SLOW + 1)
            before = psutil.Process(server.process.pid).memory_info().rss
            await flood(order, quick)
            grown = psutil.Process(server.process.pid).memory_info().rss - before
            await eventually_async(lambda: hub(server)["connections"] == 1, 10)

            assert hub(server)["too_slow"] == SLOW
            assert quick.versions == list(range(2, EVENTS + 2))
            # The topic's ring holds 64 of these frames for all of them together.
            assert grown < SLOW * BOUND + 64 * 3 * PADDING


async def test_a_stream_that_reads_late_gets_everything_once(
    start_process: StartProcess, order: Order
) -> None:
    server = start_process(check=NEVER, deaf=60, write=30).wait()
    at = (await epoch(), 1)
    async with watching("sse", server, order.ref, token=SERVICE, cursor=at) as quick:
        await quick.in_step()
        with unread_streams(server.port, order, f"{at[0]}:1", 1) as (slow,):
            await eventually_async(lambda: hub(server)["connections"] == 2)
            await flood(order, quick)
            assert hub(server)["lagging"] == 1
            seen = await _versions(slow, EVENTS + 1)

    assert seen == list(range(2, EVENTS + 2))


async def _versions(slow: socket.socket, last: int) -> list[int]:
    """Read what the stream has held back, until it has told of version `last`."""
    loop, text = asyncio.get_running_loop(), b""
    async with asyncio.timeout(30):
        while True:
            text += await loop.sock_recv(slow, 1_000_000)
            frames = [_frame(block) for block in text.replace(b"\r\n", b"").split(b"data: ")[1:]]
            seen = [v for frame in frames if frame for v in _told(frame)]
            if seen[-1:] == [last]:
                return seen


def _frame(block: bytes) -> dict[str, Any] | None:
    try:
        frame: dict[str, Any]
        frame, _ = json.JSONDecoder().raw_decode(block.decode(errors="replace"))
    except ValueError:
        return None
    return frame


def _told(frame: dict[str, Any]) -> list[int]:
    if frame["type"] == "synced":
        return [event["version"] for event in frame.get("events", ())]
    return [frame["version"]]
