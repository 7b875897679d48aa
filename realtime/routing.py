"""Addresses of the live streams. The pages' and the API's stand in the `urls` modules."""

from typing import Any

from channels.routing import URLRouter
from django.urls import path, re_path

from realtime.board import stream
from realtime.endpoints import sse
from realtime.endpoints.websocket import OrdersConsumer


async def _nowhere(_scope: Any, receive: Any, send: Any) -> Any:
    await receive()
    await send({"type": "websocket.close"})  # before it is accepted: the handshake gets a 403


websocket_application = URLRouter(
    [
        path("ws/orders/", OrdersConsumer.as_asgi()),
        path("ws/orders/<str:ref>/", OrdersConsumer.as_asgi()),
        re_path("", _nowhere),
    ]
)


def is_stream(scope: dict[str, Any]) -> bool:
    """Whether an HTTP request goes to `stream_application` instead of Django."""
    return scope["path"] == stream.PATH or sse.PATH.match(scope["path"]) is not None


async def stream_application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Server-sent events: of one order, or of the staff board."""
    is_board = scope["path"] == stream.PATH
    await (stream if is_board else sse).application(scope, receive, send)
