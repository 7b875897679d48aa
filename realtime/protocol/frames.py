"""A frame that goes out: encoded once, and made a message of each encoding once, however many pages get it."""

from collections.abc import Callable
from typing import Any

MAX_REASON = 123  # bytes in a close frame (RFC 6455, 5.5)

Message = dict[str, Any]  # an ASGI message


class Frame:
    """One encoded protocol frame. `epoch` and `version` are where the client stands after it, if it moves it."""

    __slots__ = ("_messages", "epoch", "kind", "text", "version")

    def __init__(self, kind: str, text: str, epoch: str = "", version: int = 0) -> None:
        self.kind, self.text, self.epoch, self.version = kind, text, epoch, version
        self._messages: dict[Encoding, Message] | None = None  # most frames go out as bytes alone

    def message(self, encoding: "Encoding") -> Message:
        """The ASGI message in an encoding. Servers read it and keep nothing of it, so all pages share one."""
        if self._messages is None:
            self._messages = {}
        message = self._messages.get(encoding)
        if message is None:
            message = self._messages[encoding] = encoding.encode(self)
        return message


class Encoding:
    """How frames and the end of a connection are said over one transport.

    `whole`: a frame as the bytes that go over the line, where they are the same for every client.
    """

    __slots__ = ("close", "encode", "name", "whole")

    def __init__(
        self,
        name: str,
        encode: Callable[[Frame], Message],
        close: Callable[[int, str], Message],
        whole: Callable[[Frame], bytes] | None = None,
    ) -> None:
        self.name, self.encode, self.close, self.whole = name, encode, close, whole


def _websocket(frame: Frame) -> Message:
    return {"type": "websocket.send", "text": frame.text}


def _whole_websocket(frame: Frame) -> bytes:
    """One unmasked text frame (RFC 6455, 5.2), as websockets itself would serialise it."""
    body = frame.text.encode()
    size = len(body)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + body
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + body
    return b"\x81\x7f" + size.to_bytes(8, "big") + body


def _close_websocket(code: int, reason: str) -> Message:
    # Half a character at the end is left out. A longer reason is an error, and no close would be sent at all.
    shown = reason.encode()[:MAX_REASON].decode(errors="ignore")
    return {"type": "websocket.close", "code": code, "reason": shown}


def _sse(frame: Frame) -> Message:
    if frame.kind == "ping":
        body = ": ping\n\n"
    else:
        cursor = f"id: {frame.epoch}:{frame.version}\n" if frame.version else ""
        body = f"{cursor}event: {frame.kind}\ndata: {frame.text}\n\n"
    return {"type": "http.response.body", "body": body.encode(), "more_body": True}


def _close_sse(_code: int, _reason: str) -> Message:
    return {"type": "http.response.body", "body": b"", "more_body": False}


WEBSOCKET = Encoding("websocket", _websocket, _close_websocket, _whole_websocket)
SSE = Encoding("sse", _sse, _close_sse)
