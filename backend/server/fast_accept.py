"""WebSockets of orders accepted without ASGI: the application judges the handshake inline, and gets messages by a call.

A socket that uvicorn opens has a task, a queue and a parser from its first moment: half of the time that a page costs
which comes back, and half of the memory that it then takes. Here there is none of it until the client sends something,
and then the parser alone. Whatever is unusual about a handshake, and whatever is refused, goes uvicorn's way.

Knows uvicorn's and websockets' insides: docs/internals.md.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from functools import lru_cache
from typing import Any

from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from backend.server import compatibility, upgrade
from backend.server.websocket_protocol import WebSocketProtocol, parse_frames

Client = tuple[str, int] | None
_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})


class _NothingReceived:
    """Stands where websockets keeps its state, as long as the client has sent nothing but pongs."""

    state, extensions = OPEN, ()

    def __init__(self) -> None:
        self._to_send: list[bytes] = []

    def send_ping(self, data: bytes) -> None:
        self._to_send.append(Frame(Opcode.PING, data).serialize(mask=False))

    def data_to_send(self) -> list[bytes]:
        return self._to_send


_NOTHING_RECEIVED = _NothingReceived()  # the same for all
_WRITABLE = asyncio.Event()  # for every socket that nothing waits for
_WRITABLE.set()
# How a masked one begins (RFC 6455, 5.2) that has the four bytes which uvicorn puts into a ping.
_PONG = b"\x8a\x84"


class FastAcceptProtocol(WebSocketProtocol):
    """One socket, opened by `accept`."""

    # What uvicorn gives each socket at its beginning.
    handshake_initiated = handshake_complete = True
    close_sent = disconnected = read_paused = False
    close_timer = initial_response = ping_timer = pong_timer = None
    pending_ping_payload: bytes | None = None
    close_timeout = 10.0
    ping_sent_at = last_ping_rtt = 0.0
    request = response = None  # type: ignore[assignment] # nobody reads them
    curr_msg_data_type = "bytes"
    conn: Any = _NOTHING_RECEIVED
    writable = _WRITABLE

    def __init__(self, http: Any, accepted: Any) -> None:
        # Not uvicorn's own: it makes all that is put off here.
        self.config, self.loop, self.logger = http.config, http.loop, http.logger
        self.transport, self.connections = http.transport, http.connections
        self.server, self.client = http.server, http.client
        self.scheme = "wss" if http.scheme == "https" else "ws"
        self.ping_interval, self.ping_timeout = (
            self.config.ws_ping_interval,
            self.config.ws_ping_timeout,
        )
        self.frames = []
        self.connections.add(self)
        self.queue: Any = self  # of which uvicorn knows only `put_nowait`
        self._context = accepted.context
        self._socket: Any = None  # one that is closed while it opens has none
        self._socket = accepted.come_in(self.send)
        self.start_keepalive()

    def put_nowait(self, message: Any) -> None:
        """A message for the application, as ASGI has it, handed over by a call."""
        if self._socket is None:
            return
        if message["type"] == "websocket.disconnect":
            # Also from within `hear`, if what it hears makes it close.
            self._socket.connection.gone()
        else:
            self._context.run(self._socket.hear, message.get("text"))

    def _need_parser(self) -> None:
        if self.conn is _NOTHING_RECEIVED:
            self.conn = ServerProtocol(
                state=OPEN, max_size=self.config.ws_max_size, logger=self.logger
            )
            parse_frames(self.conn)

    def data_received(self, data: bytes) -> None:
        is_pong = len(data) == len(_PONG) + 8 and data.startswith(_PONG)
        is_awaited = self.pending_ping_payload is not None
        if self.conn is _NOTHING_RECEIVED and is_awaited and is_pong:
            mask, payload = int.from_bytes(data[2:6]), int.from_bytes(data[6:])
            self.handle_pong(Frame(Opcode.PONG, (mask ^ payload).to_bytes(4)))
            return
        self._need_parser()
        super().data_received(data)

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        self._need_parser()
        return super().send(message)

    def shutdown(self) -> None:
        self._need_parser()
        super().shutdown()

    def send_keepalive_ping(self) -> None:
        if self.conn is not _NOTHING_RECEIVED:
            super().send_keepalive_ping()
            return
        self.conn = _NothingReceived()
        super().send_keepalive_ping()
        self.conn = _NOTHING_RECEIVED

    def keepalive_timeout(self) -> None:
        self._need_parser()
        super().keepalive_timeout()

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()

    def send_receive_event_to_app(self) -> None:
        super().send_receive_event_to_app()
        if self.read_paused:
            # It was handed over by a call; uvicorn waits for an application to take it.
            self.read_paused = False
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # They hold each other, and would wait for the garbage collector.
        self._socket = self.queue = None


def accept(http: Any) -> FastAcceptProtocol | None:
    """The socket that this handshake opens, which an HTTP protocol has parsed and which `is_plain`.

    None: nothing has been done, and it has to go uvicorn's way.
    """
    given = http.scope["headers"]
    headers = {name: value.decode("latin-1") for name, value in given}
    is_usual = len(headers) == len(given) and upgrade.is_good(headers)
    if not is_usual or http.config.ws_per_message_deflate:
        return None
    target, offered = http.url.decode("ascii"), upgrade.subprotocols(headers)
    judged = _judge(http, target, headers, offered)
    if judged is None:
        return None
    accepted, client = judged
    if http.logger.isEnabledFor(logging.INFO):
        # As uvicorn says it, but for the query.
        shown = f"{client[0]}:{client[1]}" if client else ""
        http.logger.info('%s - "WebSocket %s" [accepted]', shown, target.partition("?")[0])
    switching = upgrade.switching(headers, http.server_state.default_headers, accepted.subprotocol)
    http.transport.write(switching)
    return FastAcceptProtocol(http, accepted)


def _judge(
    http: Any, target: str, headers: Mapping[bytes, str], offered: list[str]
) -> tuple[Any, Client] | None:
    """What the application makes of this handshake, and the client that a trusted proxy says it is."""
    fast_accept, proxied = _application(http.config)
    if fast_accept is None:
        return None
    scope: Any = {
        "type": "websocket",
        "scheme": "wss" if http.scheme == "https" else "ws",
        "client": http.client,
        "headers": [
            (name, headers[name].encode("latin-1")) for name in _FORWARDED & headers.keys()
        ],
    }
    if proxied is not None and scope["headers"]:
        _run(proxied(scope, None, None))
    client = scope["client"]
    accepted = fast_accept(target, headers, offered, client[0] if client else "", scope["scheme"])
    return None if accepted is None else (accepted, client)


@lru_cache(maxsize=8)
def _application(config: Config) -> tuple[Any, Any]:
    """The application's `fast_accept`, if it has one and at most uvicorn's proxy headers stand before it."""
    application: Any = config.loaded_app
    if not isinstance(application, ProxyHeadersMiddleware):
        return compatibility.fast_accept_of(application), None
    alone = ProxyHeadersMiddleware(_nothing, config.forwarded_allow_ips or "127.0.0.1")
    return compatibility.fast_accept_of(application.app), alone


async def _nothing(*_: Any) -> None:
    pass


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """One that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("uvicorn's proxy headers wait for something")
