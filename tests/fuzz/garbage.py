"""Bytes on a bare TCP connection: no HTTP, half of it, too much of it. And texts that PostgreSQL cannot hold."""

import json
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from tests.fuzz.tally import Tally
from tests.fuzz.target import TOKEN, Target

_HANDSHAKE = (
    b"GET /ws/orders/?token=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_UNSTORABLE = [
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "\ufffe",
    "\u202e",
    "é" * 300,
    "💥" * 5_000,
]


def run(target: Target, tally: Tally, count: int, seed: int) -> None:
    """About `count` connections, and each text in every field that takes one."""
    rng = random.Random(seed)
    for number, data in enumerate(_garbage(rng)):
        if number >= count:
            break
        _throw(target, tally, data)
    _throw_without_end(target, tally, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ", b"a" * 65_536)
    _throw_without_end(
        target, tally, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-A: b\r\n" * 8_192
    )
    _throw_without_end(target, tally, b"GET /", b"a" * 65_536)
    _texts(target, tally)


def _garbage(rng: random.Random) -> Iterator[bytes]:
    handshake = _HANDSHAKE % TOKEN.encode()
    while True:
        noise = rng.randbytes(rng.choice((1, 10, 1_000, 50_000)))
        yield noise
        yield b"GET / HTTP/1.1\r\n" + noise
        yield (
            b"POST /api/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n\r\n" + noise
        )
        yield (
            b"POST /callbacks/house/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"
            + noise
        )
        yield b"POST /api/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n"
        yield b"POST /api/orders HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0"
        yield b"GET /\xff\x00 HTTP/1.1\r\nHost: \xff\r\n\r\n"
        yield b"GET /%00%ff%c0%ae/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid=\xff\x00\r\n\r\n"
        yield b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise
        yield handshake + noise  # frames that are none, or unmasked
        yield (
            handshake + bytes([0x81, 0xFF]) + b"\xff" * 8 + noise
        )  # one that says it has 2**64 bytes
        yield (
            handshake + bytes([0x01, 0x84, 0, 0, 0, 0]) + b'{"a"'
        )  # half a message, and nothing more
        cut = rng.randrange(len(handshake))
        yield handshake[:cut]


def _throw(target: Target, tally: Tally, data: bytes) -> None:
    """Send it, and see that the connection ends or waits; neither is an error, silence to others would be."""
    tally.requests += 1
    with suppress(OSError), socket.create_connection(target.address, timeout=5) as connection:
        connection.settimeout(0.2)
        connection.sendall(data)
        answer = connection.recv(65_536)
        if b"Traceback" in answer:
            tally.blame("crashes", f"a traceback in the answer to {data[:60]!r}")
        # 501 and 505 are the client's: what HTTP does not know, or this server does not speak.
        if answer.startswith(b"HTTP/1.1 5") and answer[9:12] not in (b"501", b"505"):
            tally.blame("server_errors", f"{answer[:20]!r} to {data[:90]!r}")


def _throw_without_end(target: Target, tally: Tally, head: bytes, piece: bytes) -> None:
    """A head that never ends must be cut off, long before it fills the memory."""
    tally.requests += 1
    sent = 0
    try:
        with socket.create_connection(target.address, timeout=5) as connection:
            connection.sendall(head)
            while sent < 32 * 2**20:
                connection.sendall(piece)
                sent += len(piece)
    except OSError:
        return
    tally.blame("crashes", f"32 MB of a head that began {head[:20]!r} were taken")


def _texts(target: Target, tally: Tally) -> None:
    ref = target.refs[1]
    for text in _UNSTORABLE:
        bodies: dict[str, list[dict[str, Any]]] = {
            "/api/orders": [
                {"amount": 1, "currency": text},
                {"amount": 1, "currency": "EUR", "metadata": {text: 1}},
                {"amount": 1, "currency": "EUR", "metadata": {"a": [{"b": text}]}},
            ],
            f"/api/orders/{ref}/payments": [
                {"mode": text},
                {"provider": text},
                {"return_url": f"https://a/{text}"},
            ],
            f"/api/orders/{ref}/refunds": [{"reason": text}],
            f"/api/orders/{ref}/cancel": [{"reason": text * 2, "x": text}],
        }
        for path, several in bodies.items():
            for body in several:
                tally.requests += 1
                answer = target.client.post(
                    path, content=json.dumps(body), headers={"content-type": "application/json"}
                )
                if answer.status_code >= 500 and answer.status_code != 503:
                    tally.blame("server_errors", f"{path} with {text[:10]!r}: {answer.status_code}")
