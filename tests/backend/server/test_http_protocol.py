"""The wire: handshakes are answered as uvicorn itself would, and let go; what is too large is not even read."""

import asyncio
import gc
import json
import logging
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.exceptions import ConnectionClosed
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

from backend.server import http_protocol
from backend.server.fast_accept import AtOnceProtocol
from backend.server.http_protocol import HttpProtocol
from backend.server.websocket_protocol import WebSocketProtocol
from backend.up import command_line
from orders.models import Order
from realtime.endpoints.session import OrderSocket
from realtime.hub import local
from realtime.hub.connection import Connection
from realtime.hub.topic import Subscription
from realtime.pubsub.names import order_topic
from tests.realtime import serving
from tests.realtime.conftest import announce, grow, padded
from tests.realtime.serving import Page, Server, page, socket_that_holds_little
from tests.waiting import eventually, eventually_async

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "start": "GET /ws/orders/ HTTP/1.1",
    "host": "Host: 127.0.0.1",
    "upgrade": "Upgrade: websocket",
    "connection": "Connection: Upgrade",
    "key": KEY,
    "version": "Sec-WebSocket-Version: 13",
}
HANDSHAKES = {
    "a good one": {},
    "of one order": {"start": f"GET /ws/orders/{'0' * 32}/?version=1&epoch=x HTTP/1.1"},
    "a bad token": {"start": "GET /ws/orders/?token=no HTTP/1.1"},
    "a subprotocol among others": {"more": "Sec-WebSocket-Protocol: other, orders.v1"},
    "only other subprotocols": {"more": "Sec-WebSocket-Protocol: other,another"},
    "subprotocols in two lists": {
        "more": "Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: orders.v1"
    },
    "subprotocols that make no sense": {"more": "Sec-WebSocket-Protocol: a b, ,"},
    "no word for a subprotocol": {"more": "Sec-WebSocket-Protocol: "},
    "an extension": {"more": "Sec-WebSocket-Extensions: permessage-deflate"},
    "an extension that makes no sense": {"more": "Sec-WebSocket-Extensions: ;;"},
    "keep-alive as well": {"connection": "Connection: keep-alive, Upgrade"},
    "in other letters": {"connection": "connection: upgrade", "upgrade": "UPGRADE: WebSocket"},
    "connection twice": {"more": "Connection: keep-alive"},
    "connection with nonsense": {"connection": "Connection: Upgrade;x"},
    "two upgrades": {"upgrade": "Upgrade: websocket, h2c"},
    "another version": {"version": "Sec-WebSocket-Version: 8"},
    "no version": {"version": ""},
    "no key": {"key": ""},
    "two keys": {"more": KEY},
    "a key that is none": {"key": "Sec-WebSocket-Key: short"},
    "a key of fifteen bytes": {"key": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"},
    "a key of seventeen bytes": {"key": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE="},
    "a key with bits left over": {"key": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="},
    "two versions": {"version": "Sec-WebSocket-Version: 13, 8"},
    "a post": {"start": "POST /ws/orders/ HTTP/1.1"},
    "http 1.0": {"start": "GET /ws/orders/ HTTP/1.0"},
    "another upgrade": {"upgrade": "Upgrade: h2c"},
    "no upgrade wanted": {"connection": "Connection: close"},
    "beyond ascii": {"more": "Cookie: caf\xe9=1"},
    "an address beyond ascii": {"start": "GET /ws/orders/\xe9/ HTTP/1.1"},
    "an order that makes no sense": {"start": "GET /ws/orders/%2e%2e/ HTTP/1.1"},
    "no such address": {"start": "GET /ws/nothing/ HTTP/1.1"},
    "another host": {"host": "Host: evil.example"},
    "two hosts": {"more": "Host: evil.example"},
    "a page of ours": {"more": "Origin: http://localhost"},
    "another page": {"more": "Origin: https://evil.example"},
    "two pages": {"more": "Origin: http://localhost\r\nOrigin: https://evil.example"},
}
# To these uvicorn says nothing, and holds the connection for as long as the client likes.
UNANSWERED = {
    "a body": {"more": "Content-Length: 5", "after": "hello"},
    "a body in pieces": {"more": "Transfer-Encoding: chunked", "after": "0\r\n\r\n"},
    "a long line": {"more": f"Cookie: {'x' * 9_000}"},
    "a long address": {"start": f"GET /ws/orders/?token={'x' * 9_000} HTTP/1.1"},
    "many headers": {"more": "\r\n".join(f"X-{number}: x" for number in range(150))},
}


DATE = re.compile(r"(?i)date: |x-request-id: ")


def answer(server: Server, changes: dict[str, str]) -> str:
    """What is said to a handshake, without the time and without frames."""
    lines = {**GOOD, **changes}
    after = lines.pop("after", "")
    head = "\r\n".join(line for line in lines.values() if line) + "\r\n\r\n" + after
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(head.encode("latin-1"))
        said = b""
        try:
            while not is_whole(said) and (data := client.recv(65_536)):
                said += data
        except TimeoutError:
            pytest.fail(f"no end of the answer to {changes}: {said!r}")
    status, *rest = said.decode("latin-1").split("\r\n")
    if " 404 " in status:
        return status  # one of Django's pages, no two of which are the same
    if " 101 " in status:
        rest = rest[: rest.index("")]
    return "\n".join([status, *sorted(each.lower() for each in rest if not DATE.match(each))])


def is_whole(said: bytes) -> bool:
    head, found, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(found) and (
        b" 101 " in head or (length is not None and len(body) >= int(length[1]))
    )


@pytest.fixture
def both(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> tuple[Server, Server]:
    """A server with our wire, and one with uvicorn's own sockets."""
    ours = start_server()
    monkeypatch.setattr(command_line, "WIRE", {**command_line.WIRE, "ws": "websockets-sansio"})
    return ours, start_server()


def test_each_handshake_is_answered_as_uvicorn_itself_would(both: tuple[Server, Server]) -> None:
    ours, theirs = ({name: answer(each, how) for name, how in HANDSHAKES.items()} for each in both)

    assert ours == theirs
    assert ours["a good one"].startswith("HTTP/1.1 101")
    assert ours["two keys"].startswith("HTTP/1.1 400")


@pytest.mark.parametrize("how", UNANSWERED.values(), ids=UNANSWERED.keys())
def test_a_handshake_that_websockets_cannot_read_is_refused_and_the_connection_closed(
    start_server: Callable[..., Server], how: dict[str, str]
) -> None:
    assert answer(start_server(), how).startswith("HTTP/1.1 4")


async def test_a_socket_that_is_open_keeps_nothing_of_its_handshake(
    start_server: Callable[..., Server], order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "ORDERS", serving.ORDERS_BY_ASGI)
    server = start_server()
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()
        protocol = the_only_protocol()

        is_ours = type(protocol) is WebSocketProtocol
        assert is_ours
        assert (protocol.request, protocol.response) == (None, None)
        assert protocol.scope["headers"] == []
        # uvicorn's own parser would hold the request in its frame.
        assert protocol.conn.parser.gi_code is Protocol.parse.__code__


async def test_a_socket_that_is_opened_at_once_has_a_parser_when_its_client_speaks(
    start_server: Callable[..., Server], order: Order
) -> None:
    server = start_server()
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()
        protocol = the_only_protocol()

        assert isinstance(protocol, AtOnceProtocol)
        assert not isinstance(protocol.conn, ServerProtocol)
        await watching.say(type="ping")
        await watching.socket.send("ping")
        await watching.until(lambda p: p.of("pong"))
        assert isinstance(protocol.conn, ServerProtocol)


@pytest.mark.parametrize("ending", ["by the page", "by us", "cut"])
async def test_a_socket_that_has_gone_leaves_nothing_to_the_garbage_collector(
    start_server: Callable[..., Server], order: Order, ending: str
) -> None:
    server = start_server(close_grace=0.05)
    gc.collect()
    gc.disable()
    try:
        async with page(server, f"{order.ref}/") as watching:
            await watching.synced()
            assert len(parts_of_sockets()) >= 4
            if ending == "by the page":
                await watching.socket.close()
            elif ending == "by us":
                await watching.socket.send("nonsense")
                assert await watching.close_code() == 4400
            else:
                watching.socket.transport.abort()
            await eventually_async(lambda: not parts_of_sockets())
    finally:
        gc.enable()


def parts_of_sockets() -> list[str]:
    parts = (HttpProtocol, AtOnceProtocol, OrderSocket, Connection, Subscription)
    return [type(each).__name__ for each in gc.get_objects() if type(each) in parts]


def the_only_protocol() -> Any:
    [connection] = local.running().connections
    return connection.protocol


def test_a_socket_that_is_opened_at_once_has_all_that_uvicorn_gives_one(
    start_server: Callable[..., Server], order: Order
) -> None:
    """Its own beginning stands in for uvicorn's: what that adds one day, this has to add too."""
    left_out = {
        *("app", "app_state", "asgi_version", "default_headers", "root_path", "tasks")
    }  # for a task, and for the answer to a handshake
    server, loop = start_server(), asyncio.new_event_loop()
    theirs = WebSocketsSansIOProtocol(server.config, ServerState(), {}, loop)
    loop.close()

    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(handshake(order))
        eventually(lambda: local.running().connections)
        ours = the_only_protocol()

        assert {name for name in vars(theirs) if not hasattr(ours, name)} == left_out


async def test_a_client_that_answers_pings_stays(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    monkeypatch.setattr(command_line, "WIRE", {**command_line.WIRE, "ws_ping_interval": 0.05})
    async with page(start_server(), f"{order.ref}/") as watching:
        await watching.synced()
        protocol = the_only_protocol()

        for _ in range(2):
            last = protocol.last_ping_rtt
            await eventually_async(lambda last=last: protocol.last_ping_rtt != last)

        assert not watching.of("error")
        assert watching.closed is None
        # A page that only listens needs no parser.
        assert not isinstance(protocol.conn, ServerProtocol)
        await watching.say(type="ping")
        await eventually_async(lambda: isinstance(protocol.conn, ServerProtocol))
        last = protocol.last_ping_rtt
        await eventually_async(lambda: protocol.last_ping_rtt != last)


def test_a_client_that_answers_no_ping_is_closed(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    pings = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.05}
    monkeypatch.setattr(command_line, "WIRE", {**command_line.WIRE, **pings})
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(handshake(order))
        said = b""
        while data := client.recv(65_536):
            said += data

    assert (1011).to_bytes(2) + b"keepalive ping timeout" in said
    eventually(lambda: not local.running().connections)


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


def frame(first: int, payload: bytes) -> bytes:
    """A client's frame; masked with zeros, so the payload can be read in it. `first` is FIN, RSV and the opcode."""
    return struct.pack(">BBQ4x", first, 0x80 | 127, len(payload)) + payload


def handshake(order: Order) -> bytes:
    lines = {
        **GOOD,
        "start": f"GET /ws/orders/{order.ref}/ HTTP/1.1",
        "more": f"Authorization: Bearer {settings.ORDERCAST_SERVICE_TOKEN}",
    }
    return ("\r\n".join(lines.values()) + "\r\n\r\n").encode()


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
def test_what_is_wrong_and_followed_by_a_farewell_is_no_error_of_ours(
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


async def test_who_says_farewell_and_does_not_read_is_cut(
    start_server: Callable[..., Server], order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AtOnceProtocol, "close_timeout", 0.3)
    server = start_server()
    async with blocked(server, order) as (watching, protocol):
        watching.socket.transport.write(frame(0x88, b""))

        await eventually_async(lambda: protocol.disconnected)


async def test_a_farewell_that_is_not_read_does_not_disturb_a_stop(
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
async def blocked(server: Server, order: Order) -> AsyncIterator[tuple[Page, AtOnceProtocol]]:
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


@pytest.mark.parametrize(
    ("request_line", "more", "after"),
    [
        ("GET /health/live", "", b"\r\n"),
        (f"GET /api/orders/{'0' * 32}/stream", "Content-Length: 100\r\n", b"x"),
    ],
    ids=["an empty line", "a body that is not waited for"],
)
def test_who_never_comes_to_his_next_request_is_hung_up_on(
    start_server: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    request_line: str,
    more: str,
    after: bytes,
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIME", 2.0)
    with socket.create_connection(("127.0.0.1", start_server().port), 30) as client:
        client.sendall(f"{request_line} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 ")
        client.sendall(after)

        with suppress(ConnectionResetError):  # hung up on in the middle of his body
            while client.recv(65_536):
                pass


def test_the_rest_of_a_body_that_was_answered_early_is_no_head(
    start_server: Callable[..., Server],
) -> None:
    stream = f"GET /api/orders/{'0' * 32}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(f"{stream}Content-Length: 200000\r\n\r\n".encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 401")
        client.sendall(b"x" * 200_000)
        client.sendall(f"{stream}\r\n".encode())

        assert client.recv(65_536).startswith(b"HTTP/1.1 401")


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
    length, told = frames[frames.rindex(b"\x88") + 1], frames[frames.rindex(b"\x88") + 2 :]
    assert (len(told), int.from_bytes(told[:2])) == (length, code)
    assert (b'"type":"error"' in frames) == (code == 4400)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
