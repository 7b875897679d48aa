"""The fast way into a socket of orders: what a good handshake comes to, found inline.

A page that comes goes through ASGI as a rule: a task, a queue, and several layers that wrap one another. When pages
come back by the thousand, that is half of what each one costs. Whoever does not get in by this way is not refused: the
other way finds the same, and says why.
"""

import re
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from realtime.access.authentication import Access, Denied, access_in
from realtime.endpoints.session import OrderSocket, asked_by_address
from realtime.hub import local
from realtime.protocol.frames import Message
from realtime.protocol.messages import SUBPROTOCOL, Wanted

Send = Callable[[Message], Coroutine[Any, Any, None]]

_ADDRESS = re.compile(r"/ws/orders/(?:(?P<ref>[0-9a-f]{32})/)?(?:\?(?P<query>.*))?")


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who comes in, from where, and with what; with `Denied` it is refused once inside. `context`: what log lines say
    of it."""

    asked: Wanted | None
    access: Access | Denied
    subprotocol: str | None
    address: str
    context: Context

    def come_in(self, send: Send) -> OrderSocket:
        return self.context.run(self._come_in, send)

    def _come_in(self, send: Send) -> OrderSocket:
        socket = OrderSocket(send, self.asked, self.address)
        if isinstance(self.access, Denied):
            socket.connection.fail(self.access.code, str(self.access))
        else:
            socket.enter(self.access)
        return socket


class Handshake:
    """One that asks for a socket of orders. Raises `ValueError` for another address, and `ConnectionRefused`."""

    def __init__(self, target: str) -> None:
        found = _ADDRESS.fullmatch(target)
        if found is None:
            raise ValueError("not the address of orders")
        local.running().check_room()
        self._ref, self._query = found["ref"], parse_qs(found["query"] or "")

    def newcomer(
        self,
        headers: Mapping[bytes, str],
        subprotocols: list[str],
        address: str,
        context: Context,
    ) -> Newcomer:
        access: Access | Denied
        try:
            access = access_in(headers, self._query, subprotocols)
        except Denied as denied:
            access = denied
        return Newcomer(
            asked=asked_by_address(self._ref, self._query) if self._ref else None,
            access=access,
            # A client that offers only other subprotocols is accepted without one: RFC 6455 (4.2.2) lets it decide.
            subprotocol=SUBPROTOCOL if SUBPROTOCOL in subprotocols else None,
            address=address,
            context=context,
        )
