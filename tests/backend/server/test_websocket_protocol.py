"""Frames: what is too large, too many or wrong is answered by a close that the client can read, either way."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.exceptions import ConnectionClosed

from backend.server.websocket_protocol import WebSocketProtocol
from orders.models import Order
from realtime.hub import local
from realtime.pubsub.names import order_topic
from tests.backend.server.raw import frame, handshake, the_only_protocol
from tests.realtime.conftest import announce, grow, padded
from tests.realtime.serving import Page, Server, page, socket_that_holds_little
from tests.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("either_way")


@pytest.mark.parametrize(("size", "code"), [(1_000_000, 4400), (1_200_000, 1009)])
async def test_a_frame_that_is_too_large_is_refused_and_a_huge_one_is_thrown_away(
    start_server: Callable[..., Server], order: Order, size: int, code: int
) -> None:
    server = start_server()
    async with page(server, f"{order.ref}/") as watching, page(server, f"{order.ref}/") as other:
        await watching.synced()
        with suppress(ConnectionClosed):
            await watching.socket.send("x" * size)

        assert await watching.close_code() == code
        assert bool(watching.of("error")) == (code == 4400)
        await other.synced()


@pytest.mark.parametrize(
    ("first", "each"),
    [(b"", frame(0x89, b"")), (b"", frame(0x8A, b"")), (frame(0x01, b""), frame(0x00, b""))],
    ids=["pings", "pongs", "pieces of a message"],
)
def test_who_sends_small_frames_without_end_is_closed(
    start_server: Callable[..., Server], order: Order, first: bytes, each: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(handshake(order))
        said = client.recv(65_536)
        client.sendall(first + each * 3_000)
        client.shutdown(socket.SHUT_WR)
        while data := client.recv(65_536):
            said += data

    assert (1008).to_bytes(2) + b"at most 100 control frames a second" in said


@pytest.mark.parametrize(
    "after",
    [frame(0x88, b""), frame(0x01, b"\xff") + frame(0x80, b"") + frame(0x88, b"")],
    ids=["too many pings", "not UTF-8"],
)
def test_what_is_wrong_and_followed_by_a_close_is_no_error_of_ours(
    start_server: Callable[..., Server],
    order: Order,
    caplog: pytest.LogCaptureFixture,
    after: bytes,
) -> None:
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(handshake(order))
        client.recv(65_536)
        client.sendall(frame(0x89, b"") * 150 + after)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass

    assert "Fatal error" not in caplog.text


async def test_a_large_message_in_many_pieces_is_heard(
    start_server: Callable[..., Server], order: Order
) -> None:
    """As some libraries send it, which cut at their buffer's size."""
    text = json.dumps({"type": "ping"}).encode() + b" " * 60_000
    async with page(start_server(), f"{order.ref}/") as watching:
        await watching.synced()
        for _ in range(10):
            pieces = [text[start : start + 4_000] for start in range(0, len(text), 4_000)]
            sent = frame(0x01, pieces[0])
            sent += b"".join(frame(0x00, each) for each in pieces[1:-1]) + frame(0x80, pieces[-1])
            watching.socket.transport.write(sent)
        await watching.socket.send("ping")
        await watching.until(lambda p: p.of("pong"))


async def test_who_pings_and_does_not_read_is_answered_the_last_time_only(
    start_server: Callable[..., Server], order: Order
) -> None:
    async with blocked(start_server(), order) as (watching, protocol):
        size = protocol.transport.get_write_buffer_size()
        for number in range(30):
            answered = await watching.socket.ping(f"{number:0>100}")
        await eventually_async(lambda: (protocol._pong or b"").endswith(b"0029"))
        assert protocol.transport.get_write_buffer_size() == size

        watching.begin_to_read()
        await asyncio.wait_for(answered, 10)


async def test_who_closes_and_does_not_read_is_cut(
    start_server: Callable[..., Server], order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server()
    async with blocked(server, order) as (watching, protocol):
        monkeypatch.setattr(protocol, "close_timeout", 0.3)
        watching.socket.transport.write(frame(0x88, b""))

        await eventually_async(lambda: protocol.disconnected)


async def test_a_close_that_is_not_read_does_not_disturb_a_stop(
    start_server: Callable[..., Server], order: Order
) -> None:
    server = start_server()
    async with blocked(server, order) as (watching, protocol):
        watching.socket.transport.write(frame(0x88, b""))
        await eventually_async(protocol.transport.is_closing)

        await asyncio.to_thread(server.stop)

        assert server.has_stopped
        assert protocol.disconnected


@asynccontextmanager
async def blocked(server: Server, order: Order) -> AsyncIterator[tuple[Page, WebSocketProtocol]]:
    """A page that does not read what it was sent, and the socket at its other end."""
    async with page(
        server, f"{order.ref}/", reads=False, max_queue=1, max_size=None,
        sock=socket_that_holds_little(server.port),
    ) as watching:  # fmt: skip
        await eventually_async(lambda: local.running().connections)
        protocol = the_only_protocol()
        await eventually_async(lambda: any(t.live for t in local.running().topics.values()))
        topic = local.running().topics[order_topic(order.ref)]
        for version, hint in enumerate(await grow(order, 100), 2):
            await announce(padded(hint, 60_000))
            await eventually_async(lambda v=version: topic.position.version >= v)
            if not protocol.writable.is_set():
                break
        assert not protocol.writable.is_set()
        yield watching, protocol


NONSENSE = frame(0x81, b"no json")
MORE = frame(0x81, b"x" * 60_000) * 50


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (NONSENSE + MORE, 4400),
        (NONSENSE + MORE + frame(0x83, b"") + MORE[:600_000], 4400),
        (NONSENSE + MORE + frame(0x81, b"\xff") + MORE[:600_000], 4400),
        (frame(0x83, b"") + MORE, 1002),
        (frame(0xC1, b"") + MORE, 1002),
        (frame(0x81, b"\xff") + MORE, 1007),
        (frame(0x81, b"x" * 3_000_000), 1009),
    ],
    ids=[
        "nonsense", "nonsense, then a wrong opcode", "nonsense, then not UTF-8", "a wrong opcode",
        "a wrong bit", "not UTF-8", "a huge frame",
    ],
)  # fmt: skip
def test_who_still_sends_when_it_is_told_to_go_reads_why(
    start_server: Callable[..., Server],
    order: Order,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    code: int,
) -> None:
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(handshake(order))
        said = client.recv(65_536)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        while data := client.recv(65_536):
            said += data

    opened, _, frames = said.partition(b"\r\n\r\n")
    assert opened.startswith(b"HTTP/1.1 101")
    assert b"\x88" in frames
    length, close = frames[frames.rindex(b"\x88") + 1], frames[frames.rindex(b"\x88") + 2 :]
    assert (len(close), int.from_bytes(close[:2])) == (length, code)
    assert (b'"type":"error"' in frames) == (code == 4400)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
