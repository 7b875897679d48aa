"""Sockets of `orders.v1` as any ASGI server opens them.

Ours goes a shorter way, `realtime.endpoints.fast_accept`, to the same end.

A Channels consumer without a channel of its own, and without Channels' dispatch, which costs a thread's hop for each
message.
"""

import logging
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer

from realtime.access.authentication import Denied, access_of
from realtime.endpoints.session import OrderSocket, asked_by_address
from realtime.hub.hub import ConnectionRefused
from realtime.protocol.messages import SUBPROTOCOL, Error

logger = logging.getLogger(__name__)


class OrdersConsumer(AsyncConsumer):  # type: ignore[misc] # Channels has no types
    """One socket: of one order (`/ws/orders/<ref>/`) or of many (`/ws/orders/`)."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()  # websocket.connect
        # A client that offers only other subprotocols is accepted without one: RFC 6455 (4.2.2) lets it decide.
        offered = scope.get("subprotocols", [])
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": SUBPROTOCOL if SUBPROTOCOL in offered else None,
            }
        )
        socket = await _opened(scope, send)
        if socket is None:
            # To return from a handshake that a stopping server has broken off is an error in its log.
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        # Every layer on the way here keeps the same list for as long as the socket lives, and nobody reads it again.
        scope["headers"].clear()
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                socket.hear(message.get("text"))
        finally:
            socket.connection.gone()


async def _opened(scope: dict[str, Any], send: Any) -> OrderSocket | None:
    """None: the socket is refused, and the client knows."""
    ref = scope["url_route"]["kwargs"].get("ref")
    query = parse_qs(scope["query_string"].decode("latin-1"))
    address = str(scope["client"][0]) if scope.get("client") else ""
    try:
        socket = OrderSocket(send, None if ref is None else asked_by_address(ref, query), address)
    except ConnectionRefused as refused:
        error = Error(code=refused.code, message=str(refused))
        try:
            await send({"type": "websocket.send", "text": error.encode()})
            await send(
                {"type": "websocket.close", "code": int(refused.code), "reason": str(refused)}
            )
        except RuntimeError as broken_off:
            logger.debug("a refused socket is gone: %r", broken_off)
        return None
    try:
        socket.enter(access_of(scope))
    except Denied as denied:
        socket.connection.fail(denied.code, str(denied))
    return socket
