"""uvicorn's HTTP with a bound on what a request's head may be.

`uvicorn --http backend.server.http_protocol:HttpProtocol`.

uvicorn's own collects headers without end, and waits for them without end, before any application is asked.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.server.fast_accept import opened
from backend.server.websocket_protocol import WebSocketProtocol, is_plain

MAX_HEAD = 64 * 1024  # bytes: request line and headers, of which the largest real ones are cookies
HEAD_TIME = 20.0  # seconds for a whole head

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: int | None = 0  # bytes of the head that is being read; None between heads
        self._hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_hurrying()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_waited_for_by_nobody():
            self._hurry = asyncio.get_running_loop().call_later(HEAD_TIME, self._give_up)
        if self._head is None:
            return
        # What came in one piece with a request's end is counted as the next one's head: read sizes bound the error.
        self._head += len(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _is_waited_for_by_nobody(self) -> bool:
        """uvicorn gives up waiting for the next request at the first byte, which may be an empty line, or the rest of a
        body that was answered early; a head is awaited from its own first byte."""
        is_idle = self.cycle is None or self.cycle.response_complete
        return (
            is_idle
            and self._hurry is None
            and self.timeout_keep_alive_task is None
            and self.transport.get_protocol() is self
            and not self.transport.is_closing()
        )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head is None:  # not the first, which the connection itself awaits
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head = None
        self._stop_hurrying()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """What uvicorn does, without parsing the handshake a second time."""
        if self.ws_protocol_class is not WebSocketProtocol or not is_plain(self):
            super().handle_websocket_upgrade()
            self._refuse_unread()
            return
        self.connections.discard(self)
        protocol: WebSocketProtocol | None = opened(self)
        if protocol is None:
            protocol = WebSocketProtocol(self.config, self.server_state, self.app_state)
            protocol.open(self)
        self.transport.set_protocol(protocol)
        # It and this object hold each other, and would wait for the garbage collector.
        del self.parser

    def _refuse_unread(self) -> None:
        """What websockets cannot read, uvicorn neither answers nor closes."""
        opened: Any = self.transport.get_protocol()
        if getattr(opened, "handshake_initiated", True) or self.transport.is_closing():
            return
        said = b"".join(opened.conn.data_to_send())
        if said:
            self.transport.write(said)
            self.transport.close()
        else:
            self.send_400_response("This is no WebSocket handshake.\n")

    def _await_head(self) -> None:
        self._head = 0
        self._stop_hurrying()
        self._hurry = asyncio.get_running_loop().call_later(HEAD_TIME, self._give_up)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_hurrying(self) -> None:
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None
