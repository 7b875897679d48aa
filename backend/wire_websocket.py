"""uvicorn's WebSockets, opened with half the work and held with less memory.

uvicorn parses a handshake twice, by httptools and then by websockets, in Python; and it keeps request, response and all
that was parsed for as long as the socket lives. Here what httptools has found is used, and let go once it is answered.
What is checked, and who checks it, stays: websockets' own `accept`. Whatever is unusual goes uvicorn's way.

Knows uvicorn's and websockets' insides; `tests/realtime/test_wire.py` says when they have changed.
"""

from collections.abc import Generator
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

MAX_LINE = 8_000  # bytes; longer ones, and more headers, are websockets' to refuse
MAX_HEADERS = 100
_BODIES = {b"content-length", b"transfer-encoding"}


def is_plain(http: Any) -> bool:
    """Whether nothing about the handshake that this protocol has parsed needs websockets' own parser."""
    scope, url = http.scope, http.url
    return (
        scope["method"] == "GET"
        and scope["http_version"] == "1.1"
        and url.isascii()
        and len(url) <= MAX_LINE
        and len(scope["headers"]) <= MAX_HEADERS
        and all(len(value) <= MAX_LINE and name not in _BODIES for name, value in scope["headers"])
    )


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One socket."""

    def open(self, http: Any) -> None:
        """Take over from the HTTP protocol that has parsed a handshake which `is_plain`."""
        self.transport, self.scheme = http.transport, "wss" if http.scheme == "https" else "ws"
        self.server, self.client = http.server, http.client
        self.connections.add(self)
        found = Headers()
        for name, value in http.scope["headers"]:
            # The values were checked by httptools.
            found.set_insecure(name.decode("latin-1"), value.decode("latin-1"))
        # What follows the handshake are frames. The parser that would wait for a request holds it for ever.
        self.conn.parser = _frames(self.conn)
        next(self.conn.parser)
        self.handle_connect(Request(http.url.decode("ascii"), found))

    def start_keepalive(self) -> None:
        """The last thing that is done with a handshake that was accepted."""
        super().start_keepalive()
        self.request = self.response = None  # type: ignore[assignment] # 4 KB, and nobody reads them again


def _frames(conn: ServerProtocol) -> Generator[None, None, None]:
    return Protocol.parse(conn)
