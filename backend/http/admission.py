"""What is refused before any application is asked: hosts that are not served, foreign pages, and who asks too often.

Each refusal says what was wrong, as problem+json.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from orders.api import problems
from orders.security import rate_limits
from orders.security.rate_limits import LimitScope, TooMany
from realtime.access import origins

Scope = dict[str, Any]
Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

_ONCE = {b"host", b"authorization", b"origin", b"content-type", b"content-length"}


class Refused(Exception):
    """`status` and `code` are the answer's; the text says what would be right."""

    def __init__(self, status: int, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.headers = status, code, headers


def check_head(scope: Scope) -> None:
    """For every request but those that `check_host` is enough for, whose headers are known to come once."""
    _check_repeated(scope["headers"])
    check_host(next((v.decode("latin-1") for n, v in scope["headers"] if n == b"host"), ""))


def _check_repeated(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Of two of these each reader might believe another one: a proxy the first, an application the last."""
    names = [name for name, _ in headers if name in _ONCE]
    if len(names) > len(set(names)):
        twice = ", ".join(sorted({name.decode() for name in names if names.count(name) > 1}))
        raise Refused(
            400, "repeated_header", f"A request has at most one of these headers: {twice}."
        )


def check_https(scheme: str) -> None:
    """Sockets and event streams, which no redirect helps: credentials came along already."""
    if settings.SECURE_SSL_REDIRECT and scheme in {"ws", "http"}:
        raise Refused(
            403,
            "https_required",
            f"Use {settings.ORDERCAST_PUBLIC_URL}/. A proxy's X-Forwarded-Proto is believed if "
            "--forwarded-allow-ips names its address.",
        )


def check_host(host: str) -> None:
    """Or a name that an attacker lets point here would be believed. Django says so too, with a traceback each time."""
    if not _is_served(host, tuple(settings.ALLOWED_HOSTS)):
        raise Refused(
            400, "bad_host", "This host is not served here; ORDERCAST_HOSTS names those that are."
        )


def of_a_served_host(scope: Scope) -> Scope:
    """The same request, asked by a name that is served.

    For probes: whoever looks after this process asks it by its address. RFC 9112 (3.2) wants a host all the same.
    """
    _check_repeated(scope["headers"])
    others = [header for header in scope["headers"] if header[0] != b"host"]
    if len(others) == len(scope["headers"]) and scope.get("http_version", "1.1") == "1.1":
        raise Refused(400, "bad_host", "The Host header is missing.")
    served = settings.ALLOWED_HOSTS[0].lstrip(".")
    name = b"localhost" if served == "*" else served.encode()
    return {**scope, "headers": [(b"host", name), *others]}


@lru_cache(maxsize=128)
def _is_served(host: str, served: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, served)


def check_origin(headers: Mapping[bytes, str]) -> None:
    if not origins.is_welcome(headers):
        raise Refused(
            403,
            "foreign_origin",
            "Pages of this site are not served here; ORDERCAST_ORIGINS names those that are.",
        )


def admit_handshake(address: str) -> None:
    try:
        rate_limits.admit(LimitScope.HANDSHAKE, rate_limits.client(address))
    except TooMany as many:
        headers = {"retry-after": str(many.retry_after)}
        raise Refused(429, "too_many_requests", str(many), **headers) from None


async def deny(scope: Scope, send: Send, refused: Refused) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        await answer(scope, send, refused, "websocket.http.response")
    else:
        await send({"type": "websocket.close"})  # before it is accepted: the handshake gets a 403


async def answer(scope: Scope, send: Send, refused: Refused, kind: str = "http.response") -> None:
    body = problems.encode(refused.status, refused.code, str(refused), scope["path"])
    headers = {
        "content-type": problems.CONTENT_TYPE,
        "content-length": str(len(body)),
        **refused.headers,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": f"{kind}.start", "status": refused.status, "headers": encoded})
    await send({"type": f"{kind}.body", "body": body})
