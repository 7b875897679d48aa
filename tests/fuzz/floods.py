"""What a client can order for less than it costs: one guest's sockets that ask for thousands of orders of nobody.

Bounded in number and time, on loopback alone. Written without a WebSocket library, so that the flood costs little here.

`python -m tests.fuzz.floods http://127.0.0.1:8000 GRANT --sockets 200 --seconds 20` by itself.
"""

import argparse
import asyncio
import json
import secrets
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.fuzz.pulse import Pulse
from tests.fuzz.tally import Tally
from tests.fuzz.target import Target

SOCKETS = 200
MAX_KEPT = 50  # sockets, which a grant may have
MAX_GROWTH = 1.3  # times
TOO_MANY = 4009
ORDERS = 1_000  # in a message, as many as one may hold
EVERY = 1.05  # seconds between two messages of one socket, which its own rate allows
MESSAGES = 20  # that are made once; the refs in them are nobody's all the same
_HANDSHAKE = (
    "GET /ws/orders/?token={token} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass
class Flood:
    """What came of it. `closed`: how often each close code came, None for a connection that was cut."""

    opened: int = 0
    orders: int = 0  # that were asked for
    read: int = 0  # bytes
    closed: Counter[int | None] = field(default_factory=Counter)


class _Guest(asyncio.Protocol):
    def __init__(self, flood: Flood, handshake: bytes, messages: list[bytes]) -> None:
        self._flood, self._handshake, self._messages = flood, handshake, messages
        self._sent = 0
        self.is_over = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        if not self._has_begun():
            self._flood.opened += 1
            self._say()
        self._flood.read += len(data)
        code = _close_code(data)
        if code is not None and not self.is_over:
            self._end(code)
            self._transport.close()

    def _has_begun(self) -> bool:
        return self._sent > 0

    def _say(self) -> None:
        if self.is_over:
            return
        # Whoever does not take what was sent is not sent more: this side stays small too.
        if self._transport.get_write_buffer_size() < 1_000_000:
            self._transport.write(self._messages[self._sent % len(self._messages)])
            self._flood.orders += ORDERS
        self._sent += 1
        asyncio.get_running_loop().call_later(EVERY, self._say)

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.is_over:
            self._end(None)

    def _end(self, code: int | None) -> None:
        self.is_over = True
        self._flood.closed[code] += 1

    def leave(self) -> None:
        self.is_over = True
        self._transport.abort()


def _close_code(data: bytes) -> int | None:
    """Of the close frame that a server's last words end with."""
    at = data.rfind(b"\x88")
    told = data[at + 2 :]
    is_whole = at >= 0 and len(told) >= 2 and data[at + 1] == len(told)
    return int.from_bytes(told[:2]) if is_whole else None


async def flood(url: str, token: str, *, sockets: int, seconds: float) -> Flood:
    """`sockets` of one credential, each within its own rate, for so long; who is sent away comes back."""
    parts, made = urlsplit(url), Flood()
    messages = [_message() for _ in range(MESSAGES)]
    handshake = _HANDSHAKE.format(token=token, host=parts.netloc).encode()
    loop = asyncio.get_running_loop()

    async def one() -> _Guest:
        _, guest = await loop.create_connection(
            lambda: _Guest(made, handshake, messages), parts.hostname or "", parts.port or 80
        )
        return guest

    guests: list[_Guest] = []
    for _ in range(sockets):
        guests.append(await one())
        # Spread over the time between two messages, as they would be after a while.
        await asyncio.sleep(EVERY / sockets)
    ends_at = loop.time() + seconds
    while loop.time() < ends_at:
        await asyncio.sleep(1)
        guests = [await one() if guest.is_over else guest for guest in guests]
    for guest in guests:
        guest.leave()
    return made


def _message() -> bytes:
    wanted = [{"order": secrets.token_hex(16)} for _ in range(ORDERS)]
    text = json.dumps({"type": "subscribe", "subscribe": wanted}, separators=(",", ":")).encode()
    # Masked with nothing (RFC 6455, 5.3, asks for a mask, not for a good one).
    return b"\x81" + b"\xfe" + len(text).to_bytes(2) + b"\0\0\0\0" + text


def run(target: Target, tally: Tally, seconds: float) -> None:
    """So long, by one guest. It must be told to go, and what it cost be given back."""
    before = target.size()
    made = asyncio.run(flood(target.url, target.grant, sockets=SOCKETS, seconds=seconds))
    tally.frames += made.orders // ORDERS
    if not made.opened:
        tally.blame("crashes", "no socket of the flood was opened: it proves nothing")
    if set(made.closed) - {TOO_MANY, None}:
        tally.blame("undocumented", f"the flood's sockets were closed with {dict(made.closed)}")
    if made.closed[TOO_MANY] < made.opened - MAX_KEPT:
        tally.blame("crashes", f"a guest kept {made.opened - made.closed[TOO_MANY]} sockets")
    grown = target.size() / before
    if grown > MAX_GROWTH:
        tally.blame("crashes", f"the flood left the process {grown:.1f} times as large")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--sockets", type=int, default=SOCKETS)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with Pulse(options.url) as pulse:
        made = asyncio.run(
            flood(options.url, options.token, sockets=options.sockets, seconds=options.seconds)
        )
    print(made, pulse.said())
    return 0


if __name__ == "__main__":
    sys.exit(main())
