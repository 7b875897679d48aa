"""uvicorn's WebSockets, opened with half the work, held with less memory, and closed so that the client learns why.

uvicorn parses a handshake twice, by httptools and then by websockets, in Python; and it keeps request, response and all
that was parsed for as long as the socket lives. Here what httptools has found is used, and let go once it is answered.
What is checked, and who checks it, stays: websockets' own `accept`. Whatever is unusual goes uvicorn's way.

Where frames make no sense, uvicorn closes the connection right behind its close frame. A client that is still sending
is then reset, and may not have read why. Here what still comes is thrown away until it ends, or is too much, or late.

Knows uvicorn's and websockets' insides; `tests/backend/server/test_http_protocol.py` says when they have changed.
"""

from collections.abc import Generator, Iterable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol

from backend.server.frame_lengths import MinimalLengths

MAX_LINE = 8_000  # bytes; longer ones, and more headers, are websockets' to refuse
MAX_HEADERS = 100
MAX_THROWN_AWAY = 4_000_000  # bytes, of a client that was sent a close frame
MAX_EARLY = 128 * 1024  # bytes of frames that a client sends before its handshake is answered
# Pings, pongs and pieces of messages in a second: they cost as much as messages, which the application counts.
MAX_SMALL = 100
SMALL = 1_024  # bytes of a piece
SLICE = 4_096  # bytes that are parsed before the next look at what they were: 680 frames at most
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

    _may_still_send: int | None = None  # bytes, once its frames have made no sense
    _small, _small_since = 0, 0.0
    _pong: bytes | None = None  # the last, where the client has not read what came before
    _early = b""  # frames that came before the handshake was answered

    def connection_made(self, transport: Any) -> None:
        """uvicorn's way in: websockets parses the handshake, and then frames."""
        super().connection_made(transport)
        self.conn.reader = MinimalLengths()
        self.conn.parser = self.conn.parse()
        next(self.conn.parser)

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
        parse_frames(self.conn)
        self.handle_connect(Request(http.url.decode("ascii"), found))

    def start_keepalive(self) -> None:
        """The last thing that is done with a handshake that was accepted."""
        super().start_keepalive()
        self.request = self.response = None  # type: ignore[assignment] # 4 KB, and nobody reads them again
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:
            # A client must wait for the answer (RFC 6455, 4.1). What one sends that does not is not lost, and what it
            # comes to is not written before the answer.
            self._early += data
            if len(self._early) > MAX_EARLY:
                self.transport.abort()
            return
        for start in range(0, len(data), SLICE):
            if self._may_still_send is not None:
                self._throw_away(len(data) - start)
                return
            super().data_received(data[start : start + SLICE])

    def _throw_away(self, size: int) -> None:
        self._may_still_send = (self._may_still_send or 0) - size
        if self._may_still_send < 0:
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        # The pieces of a large message are some 4 KB each, and its size bounds their number.
        if len(event.data) >= SMALL or (self._is_within_rate() and (event.data or event.fin)):
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if not self._is_within_rate():
            return
        if self.writable.is_set() or self.conn.state is not OPEN:
            super().handle_ping()
        else:
            # The latest is enough (RFC 6455, 5.5.3); a pong for each would pile up without end.
            pongs = self.conn.data_to_send()
            self._pong = pongs[-1] if pongs else self._pong

    def handle_pong(self, event: Frame) -> None:
        if self._is_within_rate():
            super().handle_pong(event)

    def resume_writing(self) -> None:
        super().resume_writing()
        pong, self._pong = self._pong, None
        if pong is not None and not (self.close_sent or self.transport.is_closing()):
            self.transport.write(pong)

    def _is_within_rate(self) -> bool:
        if self._may_still_send is not None:
            return False
        now = self.loop.time()
        if now - self._small_since > 1:
            self._small, self._small_since = 0, now
        self._small += 1
        if self._small <= MAX_SMALL:
            return True
        self._refuse(CloseCode.POLICY_VIOLATION, f"at most {MAX_SMALL} control frames a second")
        return False

    def _refuse(self, code: CloseCode, reason: str = "") -> None:
        if self.conn.state is OPEN:
            self.conn.send_close(code, reason)
            self.handle_parser_exception()
        else:  # one of us has sent a close frame already
            self._may_still_send = MAX_THROWN_AWAY
            self._cut_later()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._cut_later()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_later()

    def shutdown(self) -> None:
        if self.transport.is_closing():  # waits for a client that may never read
            self.stop_keepalive()
            self.transport.abort()
            return
        super().shutdown()
        self._cut_later()

    def _cut_later(self) -> None:
        """A close waits until all is written, and so for ever for a client that reads nothing."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        if not self.disconnected:
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if isinstance(self.conn, ServerProtocol):
            # It holds itself by its parser, and with it what was read last: 64 KB for each socket that was sent away,
            # until the garbage collector comes round, which may take hours.
            self.conn.parser = _ENDED

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not (self.close_sent or _are_text(self.frames)):
            # A mistake of the client's, which uvicorn would log as an error, with a traceback each time.
            self.frames = []
            self._refuse(CloseCode.INVALID_DATA)
            return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Say why, and close when the client has done so, as after a close of our own."""
        self._may_still_send = MAX_THROWN_AWAY
        sent = self.conn.close_sent
        if sent is not None and not self.close_sent:
            self.close_sent = True
            self.queue.put_nowait(
                {"type": "websocket.disconnect", "code": sent.code, "reason": sent.reason}
            )
            self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._cut_later()


def _are_text(frames: Iterable[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True


def _nothing() -> Generator[None, None, None]:
    yield


_ENDED = _nothing()
_ENDED.close()


def parse_frames(conn: ServerProtocol) -> None:
    """Let what comes from now on be frames."""
    conn.reader = MinimalLengths()
    conn.parser = Protocol.parse(conn)
    next(conn.parser)
