"""What stands before every application: request ids, limits on bodies and handshakes, hosts, and security headers.

The senders of WebSockets and event streams are handed through as they are: the hub drives them by hand.
"""

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from orders import limits
from orders.limits import Door, TooMany
from realtime import origins, routing

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

KB = 1024
# The first that the path begins with. Nothing that is taken is larger than a few KB.
BODY_LIMITS = (("/callbacks/", 256 * KB), ("/admin/", 1024 * KB), ("/", 64 * KB))
BODY_TIME = 30.0  # seconds for a whole body
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


class _Refused(Exception):
    def __init__(self, status: int, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.headers = status, code, headers


class Doors:
    """The outermost ASGI application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        facts = {"request_id": _request_id(scope), "address": _address(scope)}
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
            _check_host(scope)
            _check_origin(scope)
            _admit_handshake(scope)
        except _Refused as refused:
            await receive()
            await _deny(scope, send, refused)
        else:
            await self._application(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _check_host(scope)
            _admit_handshake(scope)
        except _Refused as refused:
            await _answer(send, refused)
        else:
            await self._application(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/api/") and not origins.is_own(
            origins.decoded(scope["headers"])
        ):
            scope = {**scope, "headers": [h for h in scope["headers"] if h[0] != b"cookie"]}
        began = time.perf_counter()
        answer = _Answer(scope, send)
        try:
            _check_host(scope)
            guarded = _Body(scope, receive)
            await self._application(scope, guarded.receive, answer.send)
        except _Refused as refused:
            if answer.status:
                raise  # too late to say so: the server cuts the connection
            await _answer(answer.send, refused)
        finally:
            _tell(scope, answer.status, time.perf_counter() - began)


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
            raise _Refused(
                408, "too_slow", f"The body did not come within {BODY_TIME:g} s."
            ) from None
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._size > self._limit:
            raise self._too_large()
        return message

    def _too_large(self) -> _Refused:
        return _Refused(
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


def _check_host(scope: Scope) -> None:
    """Or a name that an attacker lets point here would be believed. Django says so too, with a traceback each time."""
    domain, _ = split_domain_port(_header(scope, b"host"))
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        raise _Refused(
            400, "bad_host", "This host is not served here; ORDERCAST_HOSTS names those that are."
        )


def _check_origin(scope: Scope) -> None:
    if not origins.is_welcome(origins.decoded(scope["headers"])):
        raise _Refused(
            403,
            "foreign_origin",
            "Pages of this site are not served here; ORDERCAST_ORIGINS names those that are.",
        )


async def _preflight(scope: Scope, send: Send) -> None:
    """A browser asks before it sends a grant for a page of another site."""
    headers = origins.decoded(scope["headers"])
    try:
        _check_host(scope)
        _check_origin(scope)
    except _Refused as refused:
        await _answer(send, refused)
        return
    await send(
        {"type": "http.response.start", "status": 204, "headers": origins.preflight(headers)}
    )
    await send({"type": "http.response.body"})


def _admit_handshake(scope: Scope) -> None:
    try:
        limits.admit(Door.HANDSHAKE, limits.client(_address(scope)))
    except TooMany as many:
        headers = {"retry-after": str(many.retry_after)}
        raise _Refused(429, "too_many_requests", str(many), **headers) from None


async def _deny(scope: Scope, send: Send, refused: _Refused) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        await _answer(send, refused, "websocket.http.response")
    else:
        await send({"type": "websocket.close"})  # before it is accepted: the handshake gets a 403


async def _answer(send: Send, refused: _Refused, kind: str = "http.response") -> None:
    problem = {
        "type": "about:blank",
        "title": refused.code.replace("_", " ").capitalize(),
        "status": refused.status,
        "code": refused.code,
        "detail": str(refused),
    }
    body = json.dumps(problem).encode()
    headers = {
        "content-type": "application/problem+json",
        "content-length": str(len(body)),
        **refused.headers,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": f"{kind}.start", "status": refused.status, "headers": encoded})
    await send({"type": f"{kind}.body", "body": body})


def _tell(scope: Scope, status: int, seconds: float) -> None:
    is_write = scope["method"] not in {"GET", "HEAD"}
    level = logging.ERROR if status >= 500 else logging.INFO if is_write else logging.DEBUG
    # The path alone: a query may hold a token.
    log.log(
        level, "%s %s %d in %.0f ms", scope["method"], scope["path"][:200], status, seconds * 1000
    )


def _request_id(scope: Scope) -> str:
    """The one that a proxy has given it, if it makes sense, or a new one."""
    given = _header(scope, b"x-request-id")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for n, v in scope["headers"] if n == name), "")


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""
