"""Which sites' pages may speak to this server: our own, and those that `ORDERCAST_ORIGINS` names.

A page of another site brings a grant or a token. It never rides on its visitor's cookies: nothing here ever allows
credentials, and `auth.access_of` looks for a session only where the page is ours.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings

Headers = list[tuple[bytes, bytes]]

ANY = "*"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"http": 80, "https": 443}
_MAX_AGE = 7_200  # seconds; Chromium keeps a preflight's answer no longer


def is_own(headers: Mapping[bytes, str]) -> bool:
    """Whether the request comes from a page of ours, or from no page at all (only browsers name an origin).

    Ours is what `ORDERCAST_PUBLIC_URL` says: scheme, name and port. Another port of this machine, or another name under
    the same domain, is another site.
    """
    origin = headers.get(b"origin")
    if origin is None:
        return True
    own = _own(settings.ORDERCAST_PUBLIC_URL)
    origin = origin.lower()
    if origin in own.origins:
        return True
    # On one's own machine the port may be another one than the public address says: a tunnel, or a test.
    return own.is_loopback and origin in _loopback_origins(headers.get(b"host", "").lower())


class _Own(NamedTuple):
    origins: frozenset[str]
    is_loopback: bool


@lru_cache(maxsize=8)
def _own(public_url: str) -> _Own:
    parts = urlsplit(public_url.lower())
    is_loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK
    names = _LOOPBACK if is_loopback else (parts.hostname or "",)
    return _Own(frozenset(_origin(parts.scheme, name, parts.port) for name in names), is_loopback)


@lru_cache(maxsize=64)
def _loopback_origins(host: str) -> frozenset[str]:
    """The origin of the pages at a `Host` of this machine."""
    try:
        parts = urlsplit(f"http://{host}")
        known = parts.hostname in _LOOPBACK and parts.netloc == host
        return frozenset({_origin("http", parts.hostname or "", parts.port)} if known else ())
    except ValueError:
        return frozenset()


def _origin(scheme: str, name: str, port: int | None) -> str:
    """As a browser writes it (RFC 6454, 6.2): without the scheme's own port."""
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" + (f":{port}" if port not in {None, _PORTS.get(scheme)} else "")


def is_welcome(headers: Mapping[bytes, str]) -> bool:
    """Whether a page of that origin may open a stream here."""
    return is_own(headers) or _is_named(headers.get(b"origin", ""))


def cors(headers: Mapping[bytes, str]) -> Headers:
    """What lets a page of a named origin read an answer; nothing for every other."""
    origin = headers.get(b"origin", "")
    named: Headers = [(b"vary", b"Origin")] if settings.ORDERCAST_ORIGINS else []
    if not (origin and _is_named(origin)):
        return named
    return [
        *named,
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"ETag, Retry-After, X-Request-ID"),
    ]


def preflight(headers: Mapping[bytes, str]) -> Headers:
    """What a browser wants to know before it asks with a grant: only reading is let through."""
    return [
        *cors(headers),
        (b"access-control-allow-methods", b"GET, HEAD"),
        (b"access-control-allow-headers", b"Authorization, If-None-Match, Last-Event-ID"),
        (b"access-control-max-age", str(_MAX_AGE).encode()),
    ]


def is_preflight(scope: Mapping[str, Any]) -> bool:
    """Whether a browser asks, for a page of some other site, what it may send to the API."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    names = {name for name, _ in scope["headers"]}
    return scope["path"].startswith("/api/") and names >= {
        b"origin",
        b"access-control-request-method",
    }


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """A scope's headers by name; of one that comes twice, the last."""
    return {name: value.decode("latin-1") for name, value in headers}


def _is_named(origin: str) -> bool:
    return ANY in settings.ORDERCAST_ORIGINS or origin.lower() in settings.ORDERCAST_ORIGINS
