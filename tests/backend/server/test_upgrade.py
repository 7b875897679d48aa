"""Handshakes are answered as uvicorn itself would answer them; those that nobody can read are answered too."""

import re
import socket
from collections.abc import Callable

import pytest

from backend.server import options
from tests.backend.server.raw import GOOD, KEY
from tests.realtime.serving import Server

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
    """A server with our protocols, and one with uvicorn's own sockets."""
    ours = start_server()
    monkeypatch.setattr(
        options, "UVICORN_OPTIONS", {**options.UVICORN_OPTIONS, "ws": "websockets-sansio"}
    )
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
