"""What stands before every application: request ids, limits on bodies and handshakes, hosts, and security headers.

The senders of WebSockets and event streams are handed through as they are: the hub drives them by hand.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from urllib.parse import quote

import structlog
from django.conf import settings

from backend.http import health
from backend.http.admission import (
    Message,
    Refused,
    Scope,
    Send,
    admit_handshake,
    answer,
    check_head,
    check_host,
    check_https,
    check_origin,
    deny,
    of_a_served_host,
)
from realtime import routing
from realtime.access import origins
from realtime.endpoints import fast_accept
from realtime.endpoints.fast_accept import Newcomer
from realtime.hub.hub import ConnectionRefused

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Message]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

KB = 1024
# The first that the path begins with. How large its callbacks may be, each provider says itself (`max_callback`).
BODY_LIMITS = (("/callbacks/", 1024 * KB), ("/admin/", 1024 * KB), ("/", 64 * KB))
BODY_TIME = 30.0  # seconds for a whole body
_IN_PATHS = "/!$&'()*+,;=:@"  # as they are in a path (RFC 3986, 3.3)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

# No script stands inside a page, so the strictest policies serve. Styles: Django's admin and the API's description
# set some on elements.
_CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_SELF = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
_STYLED = f"{_SELF}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_POLICIES = (
    ("/admin/", _STYLED),
    ("/api/docs", _STYLED),
    ("/api/", _CLOSED),
    ("/callbacks/", _CLOSED),
)
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Gateway:
    """The outermost ASGI application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        facts = _facts(_header(scope, b"x-request-id"), _address(scope))
        if scope["type"] == "websocket":
            # For as long as its task lives, which is its own.
            structlog.contextvars.bind_contextvars(**facts)
            await self._websocket(scope, receive, send)
            return
        with structlog.contextvars.bound_contextvars(**facts):
            if origins.is_preflight(scope):
                await _preflight(scope, send)
            elif routing.is_stream(scope):
                await self._stream(scope, receive, send)
            else:
                await self._http(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            admit_handshake(_address(scope))  # first: to refuse somebody is work as well
            check_https(scope.get("scheme", "http"))  # optional in ASGI
            check_head(scope)
            check_origin(origins.decoded(scope["headers"]))
        except Refused as refused:
            await receive()
            await deny(scope, send, refused)
        else:
            await self._application(scope, receive, send)

    def fast_accept(
        self,
        target: str,
        headers: Mapping[bytes, str],
        subprotocols: list[str],
        address: str,
        scheme: str,
    ) -> Newcomer | None:
        """What a handshake comes to, if it asks for a socket of orders and is admitted.

        None: it has to come through `__call__`, which finds the same and answers.
        """
        try:
            check_https(scheme)
            check_host(headers.get(b"host", ""))
            check_origin(headers)
            asked = fast_accept.Handshake(target)
            # Before any token is looked at. Whoever is refused is counted by `__call__`.
            admit_handshake(address)
        except (ValueError, Refused, ConnectionRefused):
            return None
        context = copy_context()
        facts = _facts(headers.get(b"x-request-id", ""), address)
        context.run(structlog.contextvars.bind_contextvars, **facts)
        return asked.newcomer(headers, subprotocols, address, context)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            admit_handshake(_address(scope))
            check_https(scope.get("scheme", "http"))  # optional in ASGI
            check_head(scope)
        except Refused as refused:
            await answer(scope, send, refused)
        else:
            await self._application(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/api/") and not origins.is_own(
            origins.decoded(scope["headers"])
        ):
            scope = {**scope, "headers": [h for h in scope["headers"] if h[0] != b"cookie"]}
        began = time.perf_counter()
        answering = _Answer(scope, send)
        try:
            if scope["path"] in health.PROBES:
                scope = of_a_served_host(scope)
                if scope["path"] == health.LIVE and scope["method"] == "GET":
                    await _say_alive(answering.send)
                    return
            else:
                check_head(scope)
            guarded = _Body(scope, receive)
            await self._application(scope, guarded.receive, answering.send)
        except Refused as refused:
            if answering.status:
                raise  # too late to say so: the server cuts the connection
            await answer(scope, answering.send, refused)
        finally:
            _tell(scope, answering.status, time.perf_counter() - began)


class _Body:
    """Lets a request's body through up to its path's limit, counted as it comes: a chunked one does not say before."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        path = scope["path"]
        self._limit = next(
            limit for prefix, limit in BODY_LIMITS if path.startswith(prefix) or prefix == "/"
        )
        self._receive, self._size, self._is_whole = receive, 0, False
        self._deadline = asyncio.get_running_loop().time() + BODY_TIME
        said = _header(scope, b"content-length")
        if said.isdecimal() and int(said[:20]) > self._limit:
            raise self._too_large()

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()  # Django waits here for the client to go
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise Refused(
                408,
                "too_slow",
                f"The body did not arrive within {BODY_TIME:g} s.",
                connection="close",
            ) from None
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._size > self._limit:
            raise self._too_large()
        return message

    def _too_large(self) -> Refused:
        return Refused(
            413, "too_large", f"The body is larger than {self._limit // KB} KB.", connection="close"
        )


class _Answer:
    """Puts headers on what an application answers, where it has not set them itself."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._path, self._send, self.status = scope["path"], send, 0
        self._cors = (
            origins.cors(origins.decoded(scope["headers"]))
            if self._path.startswith("/api/")
            else []
        )

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            present = {name.lower(): value for name, value in headers}
            wanted = _HEADERS | {
                b"content-security-policy": self._policy(present).encode(),
                b"x-request-id": structlog.contextvars.get_contextvars()["request_id"].encode(),
            }
            headers += [(name, value) for name, value in wanted.items() if name not in present]
            headers += self._cors
            message = {**message, "headers": headers}
        await self._send(message)

    def _policy(self, headers: dict[bytes, bytes]) -> str:
        if not headers.get(b"content-type", b"").startswith(b"text/html"):
            return _CLOSED
        return next((p for prefix, p in _POLICIES if self._path.startswith(prefix)), _SELF)


async def _say_alive(send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(health.ALIVE))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": health.ALIVE})


async def _preflight(scope: Scope, send: Send) -> None:
    """A browser asks before it sends a grant for a page of another site."""
    headers = origins.decoded(scope["headers"])
    try:
        check_head(scope)
        check_origin(headers)
    except Refused as refused:
        await answer(scope, send, refused)
        return
    await send(
        {"type": "http.response.start", "status": 204, "headers": origins.preflight(headers)}
    )
    await send({"type": "http.response.body"})


def _tell(scope: Scope, status: int, seconds: float) -> None:
    is_write = scope["method"] not in {"GET", "HEAD"}
    level = logging.ERROR if status >= 500 else logging.INFO if is_write else logging.DEBUG
    # The path alone: a query may hold a token. Percent-encoded, so that it is one word.
    path = quote(scope["path"][:200], safe=_IN_PATHS)
    log.log(level, "%s %s %d in %.0f ms", scope["method"], path, status, seconds * 1000)


def _facts(given_id: str, address: str) -> dict[str, str]:
    """What log lines and the audit say of a request. Its id is ours, or the one of a proxy that is said to give it one:
    of a client's own choice it could be that of somebody else's request."""
    is_good = settings.ORDERCAST_TRUST_REQUEST_ID and _REQUEST_ID.fullmatch(given_id)
    # uuid4 would ask the system, and let another thread go first.
    made = f"{random.getrandbits(128):032x}"
    return {"request_id": given_id if is_good else made, "address": address}


def _header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for n, v in scope["headers"] if n == name), "")


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""
