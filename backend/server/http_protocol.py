"""HTTP/1.1 whose upgrades open WebSockets of ours: `uvicorn --http backend.server.http_protocol:HttpProtocol`."""

import asyncio
from typing import Any

from backend.server import compatibility
from backend.server.bounded_http import BoundedHttpProtocol
from backend.server.fast_accept import accept
from backend.server.slow_readers import ReadDeadline, bound_unsent
from backend.server.websocket_protocol import WebSocketProtocol, is_plain
from realtime.runtime.limits import timing


class HttpProtocol(BoundedHttpProtocol):
    """One connection."""

    _deadline: ReadDeadline | None = None  # while something waits for the client to read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        bound_unsent(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._deadline is not None:
            self._deadline.progressed()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Also a connection that is being closed waits until all is written.
        if self.transport.get_write_buffer_size():
            self._await_reader()

    def _await_reader(self) -> None:
        if self._deadline is None or self._deadline.is_over:
            limits = timing()
            # Pages are closed by the hub after `write`, and cut after `close_grace`: an answer has as long.
            self._deadline = ReadDeadline(self.transport, limits.write + limits.close_grace)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def handle_websocket_upgrade(self) -> None:
        """What uvicorn does, without parsing the handshake a second time."""
        is_ours = self.ws_protocol_class is WebSocketProtocol and not compatibility.untested()
        if not (is_ours and is_plain(self)):
            super().handle_websocket_upgrade()
            self._refuse_unread()
            return
        self.connections.discard(self)
        self._end_deadline()  # the hub has its own
        protocol: WebSocketProtocol | None = accept(self)
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
        answer = b"".join(opened.conn.data_to_send())
        if answer:
            self.transport.write(answer)
            self.transport.close()
        else:
            self.send_400_response("This is not a WebSocket handshake.\n")
