"""Streams over HTTP: their headers, their end, and close codes as statuses for as long as a stream has not begun."""

from collections.abc import Awaitable, Callable
from typing import Any

from realtime.protocol.messages import Close

# The status, and the `code` of the problem+json.
STATUS = {
    Close.NO_CREDENTIALS: (401, "unauthenticated"),
    Close.TOKEN_EXPIRED: (401, "token_expired"),
    Close.FORBIDDEN: (404, "order_not_found"),
    Close.TOO_MANY: (429, "too_many_connections"),
    Close.DRAINING: (503, "draining"),
    Close.INTERNAL: (503, "unavailable"),
}

EVENT_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),
    (b"x-accel-buffering", b"no"),  # nginx must not collect what is meant to be live
)


async def until_disconnect(receive: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Until the client of an HTTP request has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
