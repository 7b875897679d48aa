"""HTTP/1.1 whose upgrades open WebSockets of ours: `uvicorn --http backend.server.http_protocol:HttpProtocol`."""

from typing import Any

from backend.server import compatibility
from backend.server.bounded_http import BoundedHttpProtocol
from backend.server.fast_accept import accept
from backend.server.websocket_protocol import WebSocketProtocol, is_plain


class HttpProtocol(BoundedHttpProtocol):
    """One connection."""

    def handle_websocket_upgrade(self) -> None:
        """What uvicorn does, without parsing the handshake a second time."""
        is_ours = self.ws_protocol_class is WebSocketProtocol and not compatibility.untested()
        if not (is_ours and is_plain(self)):
            super().handle_websocket_upgrade()
            self._refuse_unread()
            return
        self.connections.discard(self)
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
            self.send_400_response("This is no WebSocket handshake.\n")
