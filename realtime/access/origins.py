"""Which sites' pages may speak to this server: our own, and those that `ORDERCAST_ORIGINS` names.

A page of another site brings a grant or a token. It never rides on its visitor's cookies: nothing here ever allows
credentials, and `auth.access_of` looks for a session only where the page is ours.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

Headers = list[tuple[bytes, bytes]]

ANY = "*"
_MAX_AGE = 7_200  # seconds; Chromium keeps a preflight's answer no longer


def is_own(headers: Mapping[bytes, str]) -> bool:
    """Whether the request comes from a page of ours, or from no page at all (only browsers name an origin)."""
    origin = headers.get(b"origin")
    if origin is None:
        return True
    parts = urlsplit(origin)
    is_same = parts.netloc.lower() == headers.get(b"host", "").lower()
    return bool(parts.hostname) and (
        is_same or validate_host(parts.hostname or "", settings.ALLOWED_HOSTS)
    )


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
