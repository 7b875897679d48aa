"""The same streams as server-sent events: `GET /api/orders/<ref>/stream`, resumed by `Last-Event-ID`.

A plain ASGI application: Django's streaming response has a queue of its own, which neither a slow client nor one that
has gone would bound. Each stream is one order; the cursor of an event is its id, `<epoch>:<version>`.
"""

import asyncio
import logging
import re
from typing import Any
from urllib.parse import parse_qs

from orders.api import problems
from realtime.access import origins
from realtime.access.authentication import Access, Denied, access_of
from realtime.hub import local
from realtime.hub.connection import Connection
from realtime.hub.hub import ConnectionRefused, Hub, TopicRequest
from realtime.protocol.frames import SSE, Message
from realtime.protocol.http import EVENT_STREAM, STATUS, until_disconnect
from realtime.protocol.messages import AUTHENTICATION_UNAVAILABLE, Close
from realtime.pubsub.names import order_topic
from realtime.runtime.database_threads import PASSING_ERRORS

logger = logging.getLogger(__name__)

PATH = re.compile(r"^/api/orders/(?P<ref>[^/]+)/stream/?$")
_CURSOR = re.compile(r"(?P<epoch>[^:\s]{1,64}):(?P<version>[0-9]{1,15})")


class Opening:
    """The first write of a stream: the answer's head goes out with the first frame, so that until then it can still be
    a refusal. Later writes go straight to the server."""

    def __init__(self, send: Any, headers: list[tuple[bytes, bytes]]) -> None:
        self._send, self._headers = send, headers
        self.connection: Connection | None = None
        self.is_open = False

    def __getattr__(self, name: str) -> Any:
        """What `realtime.hub.raw_send` looks for in the server's own object."""
        return getattr(self._send.__self__, name)

    async def send(self, message: Message) -> None:
        self.is_open = True
        if self.connection is not None:
            self.connection.send = self._send
        head = {"type": "http.response.start", "status": 200, "headers": self._headers}
        await self._send(head)
        await self._send(message)


class Stream:
    """One request for one stream. Until the order is found, an answer is problem+json; from then on frames."""

    def __init__(self, scope: dict[str, Any], receive: Any, send: Any, ref: str) -> None:
        self.scope, self.receive, self.send, self.ref = scope, receive, send, ref
        self.ended = asyncio.Event()
        self.refusal: Close | None = None

    async def serve(self) -> None:
        if self.scope["method"] != "GET":
            await self._problem(405, "method_not_allowed", "a stream is read with GET")
            return
        address = str(self.scope["client"][0]) if self.scope.get("client") else ""
        try:
            access, hub = access_of(self.scope), local.running()
            hub.check_limits(access, address)  # before anything is looked up
            await self._admit(access)
            # The hub counts it before the answer begins, so that a refusal can still be said.
            opening = Opening(self.send, [*EVENT_STREAM, *self._cors()])
            connection = opening.connection = hub.connect(opening.send, SSE, address)
        except (Denied, ConnectionRefused) as refused:
            await self._refuse(refused)
            return
        connection.access = access
        try:
            hub.hold(connection)
            await self._stream(hub, connection, opening)
        except ConnectionRefused as refused:
            await self._refuse(refused)
        finally:
            connection.gone()
        if self.refusal is not None:
            await self._problem(*STATUS[self.refusal], self.refusal.meaning)

    async def _refuse(self, refused: Denied | ConnectionRefused) -> None:
        status, code = STATUS[refused.code]
        await self._problem(status, code, str(refused))

    async def _admit(self, access: Access) -> None:
        if access.is_empty:
            raise Denied(Close.NO_CREDENTIALS, "a token or a session is needed")
        try:
            seen = await access.visible([self.ref])
        except PASSING_ERRORS as error:
            logger.warning("authentication unavailable: %s", error)
            raise Denied(Close.INTERNAL, AUTHENTICATION_UNAVAILABLE) from error
        if self.ref not in seen:
            raise Denied(Close.FORBIDDEN, Close.FORBIDDEN.meaning)

    async def _stream(self, hub: Hub, connection: Connection, opening: Opening) -> None:
        def refused(_: str, why: Close) -> None:
            if opening.is_open:
                connection.fail(why, why.meaning)
            else:
                self.refusal = why
                self.ended.set()

        connection.on_close = self.ended.set
        connection.on_refused = refused
        epoch, version = self._cursor()
        request = TopicRequest(order_topic(self.ref), epoch, version)
        hub.catch_up(hub.subscribe(connection, [request]))
        leaving = asyncio.ensure_future(until_disconnect(self.receive))
        ended = asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait({leaving, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            ended.cancel()

    def _cors(self) -> origins.Headers:
        return origins.cors(origins.decoded(self.scope["headers"]))

    def _cursor(self) -> tuple[str | None, int | None]:
        """From `Last-Event-ID`, which a browser sends when it comes back, or from the address at first."""
        headers = dict(self.scope["headers"])
        found = _CURSOR.fullmatch(headers.get(b"last-event-id", b"").decode("latin-1").strip())
        if found is None:
            query = parse_qs(self.scope["query_string"].decode("latin-1"))
            place = f"{query.get('epoch', [''])[0]}:{query.get('version', [''])[0]}"
            found = _CURSOR.fullmatch(place)
        return (found["epoch"], int(found["version"])) if found else (None, None)

    async def _problem(self, status: int, code: str, detail: str) -> None:
        body = problems.encode(status, code, detail, self.scope["path"])
        headers = [
            (b"content-type", problems.CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *self._cors(),
        ]
        if status == 405:
            headers.append((b"allow", b"GET"))
        if status in {429, 503}:
            headers.append((b"retry-after", b"5"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """For the paths that `PATH` matches."""
    if found := PATH.match(scope["path"]):
        await Stream(scope, receive, send, found["ref"]).serve()
