"""A WebSocket handshake as nearly every client writes it (RFC 6455, 4.2): read, and answered, without a parser.

Anything else is left to websockets, which also knows what to say to it.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_WORDS = re.compile(rf"{_WORD}(?:, ?{_WORD})*")
_KEY = re.compile(r"[0-9A-Za-z+/]{21}[AQgw]==")  # 16 bytes
_CONNECTION = {"upgrade", "keep-alive, upgrade"}


def is_good(headers: Mapping[bytes, str]) -> bool:
    """Whether websockets would find nothing wrong either. `headers`: each name once."""
    return (
        headers.get(b"upgrade", "").lower() == "websocket"
        and headers.get(b"connection", "").lower() in _CONNECTION
        and headers.get(b"sec-websocket-version") == "13"
        and _KEY.fullmatch(headers.get(b"sec-websocket-key", "")) is not None
        and _WORDS.fullmatch(headers.get(b"sec-websocket-protocol", "none")) is not None
    )


def subprotocols(headers: Mapping[bytes, str]) -> list[str]:
    """Those that the client offers, of a handshake that is good."""
    offered = headers.get(b"sec-websocket-protocol")
    return [each.strip() for each in offered.split(",")] if offered else []


def switching(
    headers: Mapping[bytes, str], more: Iterable[tuple[bytes, bytes]], subprotocol: str | None
) -> bytes:
    """The answer to a handshake that is good, `more` being what the server says of itself."""
    key = headers[b"sec-websocket-key"].encode()
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    lines: Sequence[bytes] = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest),
        *(name + b": " + value for name, value in more),
        *([b"Sec-WebSocket-Protocol: " + subprotocol.encode()] if subprotocol else ()),
    ]
    return b"\r\n".join([*lines, b"", b""])
