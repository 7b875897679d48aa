"""Clients that read nothing: what the system keeps for each is bounded, and in the end they are cut.

Read from Linux's own table of sockets, of a real web process.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from django.conf import settings

from backend.server.slow_readers import UNSENT
from orders.models import Order
from tests.backend.server.raw import handshake
from tests.realtime.conftest import NEVER, announce, grow, padded
from tests.realtime.serving import ServerProcess, socket_that_holds_little
from tests.realtime.viewers import watching
from tests.tcp_table import unread
from tests.waiting import eventually_async

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/net/tcp")

EVENTS, PADDING = 100, 60_000  # 6 MB: more than every buffer on the way holds
LARGE = b"GET /api/asyncapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"  # 20 KB
LAST = LARGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
ANSWERS = 120
# What the system takes at a time may go beyond the bound, by one piece.
BOUND = UNSENT + 128 * 1024


@asynccontextmanager
async def asked(port: int, request: bytes) -> AsyncIterator[socket.socket]:
    """A client with a small window that has asked for this, and reads nothing."""
    with socket_that_holds_little(port) as client:
        await asyncio.get_running_loop().sock_sendall(client, request)
        yield client


def stream_of(order: Order) -> bytes:
    token = settings.ORDERCAST_SERVICE_TOKEN
    head = f"GET /api/orders/{order.ref}/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    return head.encode()


StartProcess = Callable[..., ServerProcess]


@pytest.mark.parametrize("kind", ["websocket", "event stream"])
async def test_what_is_not_read_of_a_page_is_bounded(
    start_process: StartProcess, order: Order, kind: str
) -> None:
    server = start_process(check=NEVER, deaf=60, write=30).wait()
    request = handshake(order) if kind == "websocket" else stream_of(order)
    async with (
        watching("sse", server, order.ref, token=settings.ORDERCAST_SERVICE_TOKEN) as quick,
        asked(server.port, request) as client,
    ):
        await quick.in_step()
        for hint in await grow(order, EVENTS):
            await announce(padded(hint, PADDING))
            await quick.until(lambda v, n=hint.version: n in v.versions[-1:], 30)  # type: ignore[misc]

        assert 0 < (unread(server.port, client) or 0) < BOUND


async def test_what_is_not_read_of_an_answer_is_bounded(start_process: StartProcess) -> None:
    server = start_process().wait()
    async with asked(server.port, LARGE * ANSWERS) as client:
        await eventually_async(lambda: (unread(server.port, client) or 0) >= UNSENT)
        async with asked(server.port, LARGE) as other:  # answered after the first is stuck
            await eventually_async(lambda: unread(server.port, other))

        assert (unread(server.port, client) or 0) < BOUND


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param(LARGE * ANSWERS, id="more than the server takes on"),
        # All of it is taken, and then the server waits for nothing but the client.
        pytest.param(LARGE * 2 + LAST, id="the last of it"),
    ],
)
async def test_who_does_not_read_an_answer_is_cut(
    start_process: StartProcess, requests: bytes
) -> None:
    server = start_process(write=0.5, close_grace=0.5).wait()
    async with asked(server.port, requests) as client:
        await eventually_async(lambda: (unread(server.port, client) or 0) >= UNSENT)

        await eventually_async(lambda: unread(server.port, client) is None)


async def test_who_reads_slowly_is_not_cut(start_process: StartProcess) -> None:
    server = start_process(write=1.5, close_grace=1.5).wait()
    loop, read = asyncio.get_running_loop(), 0
    async with asked(server.port, LARGE * ANSWERS) as client:
        began = loop.time()
        while loop.time() - began < 7:  # more than twice what it has
            received = await loop.sock_recv(client, 4_096)
            assert received, "it was cut"
            read += len(received)
            await asyncio.sleep(0.02)  # what makes it slow

    assert read > 100_000
