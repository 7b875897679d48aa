"""What a client writes byte by byte, and what it reads."""

import re
import socket
import struct
from typing import Any

from django.conf import settings

from orders.models import Order
from realtime.hub import local
from tests.realtime import serving
from tests.realtime.serving import Server

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "start": "GET /ws/orders/ HTTP/1.1",
    "host": "Host: 127.0.0.1",
    "upgrade": "Upgrade: websocket",
    "connection": "Connection: Upgrade",
    "key": KEY,
    "version": "Sec-WebSocket-Version: 13",
}


HOST = b"Host: 127.0.0.1\r\n"
END = b"Connection: close\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
STREAM = f"GET /api/orders/{'0' * 32}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
POST = b"POST /api/orders HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKED_LAST = POST + b"Transfer-Encoding: chunked\r\n" + END
ORDER = b'{"amount": 1250, "currency": "EUR"}'
LINE = b"X-Padding: " + b"x" * 4_000 + b"\r\n"
MUCH = 40  # of those lines: more than a head may have


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def frame(first: int, payload: bytes) -> bytes:
    """A client's frame; masked with zeros, so the payload can be read in it. `first` is FIN, RSV and the opcode."""
    size = len(payload)
    if size < 126:
        return struct.pack(">BB4x", first, 0x80 | size) + payload
    if size < 65_536:
        return struct.pack(">BBH4x", first, 0x80 | 126, size) + payload
    return struct.pack(">BBQ4x", first, 0x80 | 127, size) + payload


def handshake(order: Order, *more: str) -> bytes:
    """A good one, by the way that `either_way` has chosen."""
    start = f"GET {serving.ORDERS}{order.ref}/ HTTP/1.1"
    token = f"Authorization: Bearer {settings.ORDERCAST_SERVICE_TOKEN}"
    lines = {**GOOD, "start": start, "token": token}
    return ("\r\n".join([*lines.values(), *more]) + "\r\n\r\n").encode()


def exchange(server: Server, *segments: bytes, ends: bool = True) -> bytes:
    """All that is answered until the server closes. `ends`: the client says that nothing more comes."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for segment in segments:
            client.sendall(segment)
        if ends:
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Until the server closes, which resets a client that is still sending."""
    said = b""
    try:
        while data := client.recv(65_536):
            said += data
    except ConnectionResetError:
        pass
    return said


def read_until(client: socket.socket, found: bytes) -> bytes:
    said = b""
    while found not in said:
        data = client.recv(65_536)
        assert data, f"closed before {found!r} came: {said!r}"
        said += data
    return said


def statuses(said: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


def the_only_protocol() -> Any:
    [connection] = local.running().connections
    return connection.protocol
