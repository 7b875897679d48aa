"""What comes after a head was looked at: trailers, what surrounds chunks, requests and upgrades that are pipelined."""

import re
import socket
from contextlib import suppress
from itertools import islice, product

from tests.fuzz.tally import Tally
from tests.fuzz.target import TOKEN, Target

_HOST = b"Host: 127.0.0.1\r\n"
_POST = b"POST /api/orders HTTP/1.1\r\n" + _HOST + b"Content-Type: application/json\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_ORDER = b'{"amount": 1250, "currency": "EUR"}'
_WHOLE = b"%x\r\n%s\r\n0\r\n" % (len(_ORDER), _ORDER)
_CREDENTIALS = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
_WITHOUT_END = {
    "trailers": (_CHUNKED + b"0\r\n", b"X-A: b\r\n" * 8_192),
    "one trailer": (_CHUNKED + b"0\r\nX-A: ", b"b" * 65_536),
    "a trailer's name": (_CHUNKED + b"0\r\n", b"b" * 65_536),
    "an extension": (_CHUNKED + b"1;", b"b" * 65_536),
    "extensions": (_CHUNKED, (b"1;" + b"b" * 8_000 + b"\r\nx\r\n") * 8),
}
_LIVE = b"GET /health/live HTTP/1.1\r\n" + _HOST + b"\r\n"
# Whatever of these is read as a request of its own creates an order.
_INNER = _POST + _CREDENTIALS + b"Content-Length: %d\r\n\r\n" % len(_ORDER) + _ORDER
_AMBIGUOUS = (
    b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
    b"Content-Length: %d\r\nContent-Length: 0\r\n",
    b"Content-Length: %d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Content-Length: %d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Content-Length: %d\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n",
    b"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n",
    b"Content-Length: %d\r\nTransfer-Encoding: \x0bchunked\r\n",
)
_METHODS = (b"GET /health/live", b"POST /callbacks/house/", b"PUT /api/orders")


def run(target: Target, tally: Tally, count: int) -> None:
    for what, (head, piece) in _WITHOUT_END.items():
        _throw_without_end(target, tally, what, head, piece)
    _authenticate_late(target, tally)
    for method, fields in islice(product(_METHODS, _AMBIGUOUS), count):
        _smuggle(target, tally, method, fields)
    _pipeline(target, tally)


def _throw_without_end(target: Target, tally: Tally, what: str, head: bytes, piece: bytes) -> None:
    tally.requests += 1
    sent = 0
    with suppress(OSError), socket.create_connection(target.address, timeout=5) as connection:
        connection.sendall(head)
        while sent < 32 * 2**20:
            connection.sendall(piece)
            sent += len(piece)
        tally.blame("crashes", f"32 MB of {what} were taken")


def _authenticate_late(target: Target, tally: Tally) -> None:
    """A token in a trailer is nobody's."""
    answers = _exchange(target, tally, _CHUNKED + _WHOLE + _CREDENTIALS + b"\r\n")
    if answers != [401]:
        tally.blame("undocumented", f"a token in a trailer: {answers}")


def _smuggle(target: Target, tally: Tally, method: bytes, fields: bytes) -> None:
    """The body of a request is no request."""
    length = fields.replace(b"%d", b"%d" % len(_INNER))
    answers = _exchange(
        target, tally, method + b" HTTP/1.1\r\n" + _HOST + length + b"\r\n" + _INNER
    )
    if 201 in answers:
        tally.blame("undocumented", f"a body was read as a request behind {fields!r}: {answers}")


def _pipeline(target: Target, tally: Tally) -> None:
    """Many requests, and then a handshake: all are answered, in turn."""
    upgrade = (
        b"GET /ws/orders/ HTTP/1.1\r\n" + _HOST + _CREDENTIALS + b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )  # fmt: skip
    answers = _exchange(target, tally, _LIVE * 200 + upgrade)
    if answers != [200] * 200 + [101]:
        tally.blame("undocumented", f"200 requests and a handshake in one segment: {answers[-5:]}")


def _exchange(target: Target, tally: Tally, data: bytes) -> list[int]:
    """The statuses of all that is answered until the server closes, or says nothing for a moment."""
    tally.requests += 1
    said = b""
    with suppress(OSError), socket.create_connection(target.address, timeout=5) as connection:
        connection.sendall(data)
        connection.settimeout(1.0)
        while more := connection.recv(65_536):
            said += more
    answers = [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]
    for status in answers:
        if status >= 500 and status not in (501, 505):
            tally.blame("server_errors", f"{status} to {data[:90]!r}")
    return answers
