"""uvicorn's HTTP/1.1 with bounds on all that is neither path nor body, and one request at a time.

uvicorn's own collects headers and trailers without end, waits for them without end, and parses whatever has come at
once, however many requests that is. Here a request that was pipelined is parsed once the one before it is answered: so
answers, upgrades and refusals keep the order of the requests (RFC 9112, 9.3.2), and a connection holds one of each.

Knows uvicorn's and httptools' insides: docs/internals.md.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from backend.server import refusal
from backend.server.http10 import Http10Cycle
from backend.server.idle_connections import idle_connections
from backend.server.request_target import BadTarget, as_path

KB = 1024
MAX_HEAD = 64 * KB  # request line and headers, of which the largest real ones are cookies
HEAD_TIME = 20.0  # seconds for a whole head, from its first byte
# Chunk sizes, their extensions and trailers may take as much as a head, and so many bytes for each of the body's: a
# client that sends a byte at a time needs five.
FRAMING_FOR_A_BYTE = 8
PIECE = 4 * KB  # bytes that are parsed before the next look at the bounds


class _Refused(Exception):
    """Raised to the parser, and so wrapped by it: what is answered is in `_refusal`."""


class _Flow(FlowControl):
    """uvicorn's, which begins to read whenever an application asks for more; not while requests wait to be parsed."""

    is_held = False

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: int | None = None  # bytes of the head that is being read, if one is
        self._body = self._framing = (
            0  # bytes of the body, and of what came with it and is not body
        )
        self._is_between = True  # the end of a message was parsed, and no beginning of the next
        self._is_upgraded = False
        self._unparsed = b""
        self._unread = 0  # bytes of a body that the parser takes for another protocol's
        self._when_answered: Callable[[], None] | None = None  # all that was parsed before it
        self._running: RequestResponseCycle | None = None  # where `cycle` waits for it
        self._refusal = refusal.BAD_REQUEST
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle = idle_connections(self.server_state)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        self._idle.add(transport)
        # Proxies and browsers connect ahead of the first request too.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._unset_keepalive_if_required()
        self._idle.discard(self.transport)
        super().connection_lost(exc)

    # What has come, piece by piece

    def data_received(self, data: bytes) -> None:
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._parse()

    def _parse(self) -> None:
        self._unset_keepalive_if_required()
        data, self._unparsed, start = self._unparsed, b"", 0
        while start < len(data) and self._may_parse():
            if self._unread:
                start += self._read_body(data[start : start + self._unread])
                continue
            piece = data[start : self._end_of_piece(data, start)]
            start += len(piece)
            is_body = not (self._is_between or self._head is not None)
            try:
                self.parser.feed_data(piece)
            except HttpParserUpgrade as upgrade:
                start -= len(piece) - int(upgrade.args[0])
                if self._should_upgrade():
                    self._unparsed = data[start:]
                    self._in_turn(self._upgrade)
                    return
            except HttpParserError:
                self._refuse(self._refusal)
                return
            if not self._is_within_bounds(len(piece), is_body):
                self._refuse(refusal.TOO_LARGE)
                return
        self._keep(data[start:])
        if self._is_idle() and self._head_timer is None and self.timeout_keep_alive_task is None:
            # An empty line, or the rest of a body that was answered early: the next head is awaited from here.
            self._start_head_timer()

    def _read_body(self, body: bytes) -> int:
        self._unread -= len(body)
        self.on_body(body)
        if not self._unread:
            self.on_message_complete()
        return len(body)

    def _may_parse(self) -> bool:
        if self.pipeline or (self._is_between and self._is_answering()):
            return False
        return not (self._is_upgraded or self._when_answered or self.transport.is_closing())

    def _end_of_piece(self, data: bytes, start: int) -> int:
        """Behind the end of a head, so that what follows a request without a body is left alone for now."""
        if self._is_between or self._head is not None:
            end = data.find(b"\r\n\r\n", start, start + PIECE)
            if end >= 0:
                return end + 4
        return start + PIECE

    def _is_within_bounds(self, size: int, is_body: bool) -> bool:
        if self._head is not None:
            self._head += size
            return self._head <= MAX_HEAD
        if is_body:
            self._framing += size
        return self._framing <= MAX_HEAD + FRAMING_FOR_A_BYTE * self._body

    def _keep(self, rest: bytes) -> None:
        """What may not be parsed yet, and read no more until it is."""
        if not rest or self.transport.is_closing():
            return
        if self._is_between and self._when_answered is None:
            rest = rest.lstrip(b"\r\n")  # an empty line is nothing (RFC 9112, 2.2)
        self._unparsed = rest
        if rest:
            self._hold()

    def _hold(self) -> None:
        self.flow.pause_reading()
        self._flow.is_held = True

    def _release(self) -> None:
        self._flow.is_held = False
        self.flow.resume_reading()

    def _is_answering(self) -> bool:
        """Whether a request that was parsed has no whole answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _is_idle(self) -> bool:
        return not (self._is_answering() or self._is_upgraded or self.transport.is_closing())

    def on_response_complete(self) -> None:
        self._running = None
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._when_answered is not None:
            if not self._is_answering():
                self._unset_keepalive_if_required()
                act, self._when_answered = self._when_answered, None
                act()
        elif self._unparsed:
            self._release()
            self._parse()
        elif self._is_between and not self._is_answering():
            self._idle.add(self.transport)

    def _in_turn(self, act: Callable[[], None]) -> None:
        """Do it once everything that was asked before is answered."""
        if self._is_answering():
            self._when_answered = act
            self._hold()
        else:
            act()

    # What the parser finds

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_between = False
        self._head = 0
        self._start_head_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer comes after the head was looked at, by us and by proxies: nobody may take it for a header.
        if self._head is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head, self._body, self._framing = None, 0, 0
        self._stop_head_timer()
        self._idle.discard(self.transport)
        version = self.parser.get_http_version()
        self.scope["http_version"] = version
        if version not in ("1.1", "1.0"):
            self._refusal = refusal.VERSION
            raise _Refused
        if not self.url.startswith(b"/"):
            try:
                self.url = as_path(self.url, self.headers)
            except BadTarget:
                raise _Refused from None
        if self.parser.should_upgrade() and not self._should_upgrade():
            self._ignore_upgrade()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is before:  # an upgrade
            return
        if version == "1.0":
            self.cycle.__class__ = Http10Cycle
            self.cycle.waiting_for_100_continue = False  # RFC 9110, 10.1.1
        if self.pipeline:
            self._running = before

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        self._framing -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._unread:
            return
        super().on_message_complete()
        self._is_between = True

    # Upgrades

    def _should_upgrade(self) -> bool:
        # Of HTTP/1.0 an upgrade must be ignored (RFC 9110, 7.8).
        return self.scope["http_version"] == "1.1" and super()._should_upgrade()

    def _ignore_upgrade(self) -> None:
        """The parser takes what follows for the other protocol, and so a body for the next request."""
        fields = dict(self.headers)
        if b"transfer-encoding" in fields:
            self._refusal = refusal.CHUNKED_UPGRADE
            raise _Refused
        self._unread = int(fields.get(b"content-length", b"0"))

    def _upgrade(self) -> None:
        """Hand the connection to a WebSocket, with the frames that have come behind the handshake."""
        self._is_upgraded = True
        self._release()
        early, self._unparsed = self._unparsed, b""
        self.handle_websocket_upgrade()
        opened: Any = self.transport.get_protocol()
        if early and opened is not self and not self.transport.is_closing():
            opened.data_received(early)

    # Refusals and time

    def _refuse(self, why: refusal.Refusal) -> None:
        """Say so in its turn, and close. What is being answered already can only be cut."""
        self._unparsed = b""
        is_in_body = self._head is None and not self._is_between
        if is_in_body and self._running is not None:
            # It waits for its turn, and never begins.
            self.pipeline.clear()
            self.cycle = self._running
            self._in_turn(partial(self._write_refusal, why))
        elif is_in_body and self._is_answering():
            if self.cycle.response_started:
                self.transport.close()
            else:
                self._write_refusal(why)
        else:
            self._in_turn(partial(self._write_refusal, why))

    def _write_refusal(self, why: refusal.Refusal) -> None:
        if not self.transport.is_closing():
            self.transport.write(why.encoded())
            self.transport.close()

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(HEAD_TIME, self.timeout_keep_alive_handler)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
