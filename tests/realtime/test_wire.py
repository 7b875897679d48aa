"""The wire: handshakes are answered as uvicorn itself would, and let go; what is too large is not even read."""

import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed
from websockets.protocol import Protocol

from backend import launch
from backend.wire_websocket import WebSocketProtocol
from orders.models import Order
from realtime import process
from tests.realtime.serving import Server, page

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "start": "GET /ws/orders/?token=no HTTP/1.1",
    "host": "Host: 127.0.0.1",
    "upgrade": "Upgrade: websocket",
    "connection": "Connection: Upgrade",
    "key": KEY,
    "version": "Sec-WebSocket-Version: 13",
}
HANDSHAKES = {
    "a good one": {},
    "a subprotocol among others": {"more": "Sec-WebSocket-Protocol: other, orders.v1"},
    "keep-alive as well": {"connection": "Connection: keep-alive, Upgrade"},
    "another version": {"version": "Sec-WebSocket-Version: 8"},
    "no version": {"version": ""},
    "no key": {"key": ""},
    "two keys": {"more": KEY},
    "a key that is none": {"key": "Sec-WebSocket-Key: short"},
    "a post": {"start": "POST /ws/orders/ HTTP/1.1"},
    "http 1.0": {"start": "GET /ws/orders/ HTTP/1.0"},
    "another upgrade": {"upgrade": "Upgrade: h2c"},
    "no upgrade wanted": {"connection": "Connection: close"},
    "beyond ascii": {"more": "Cookie: caf\xe9=1"},
    "an address beyond ascii": {"start": "GET /ws/orders/\xe9/ HTTP/1.1"},
    "an order that makes no sense": {"start": "GET /ws/orders/%2e%2e/ HTTP/1.1"},
    "no such address": {"start": "GET /ws/nothing/ HTTP/1.1"},
    "another host": {"host": "Host: evil.example"},
    "another page": {"more": "Origin: https://evil.example"},
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
    monkeypatch.setattr(launch, "WIRE", {**launch.WIRE, "ws": "websockets-sansio"})
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
    start_server: Callable[..., Server], order: Order
) -> None:
    server = start_server()
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()
        [connection] = process.running().connections
        protocol: Any = connection.protocol

        is_ours = type(protocol) is WebSocketProtocol
        assert is_ours
        assert (protocol.request, protocol.response) == (None, None)
        assert protocol.scope["headers"] == []
        # uvicorn's own parser would hold the request in its frame.
        assert protocol.conn.parser.gi_code is Protocol.parse.__code__


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
    start_server: Callable[..., Server], order: Order, sent: bytes, code: int
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
