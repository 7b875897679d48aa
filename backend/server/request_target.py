"""Request targets that are no path: a client may name the whole URL, as it does to a proxy (RFC 9112, 3.2.2)."""

from typing import Any

from httptools import parse_url

Headers = list[tuple[bytes, bytes]]


class BadTarget(Exception):
    """The target is neither a path nor an http URL."""


def as_path(target: bytes, headers: Headers) -> bytes:
    """The path and query of a target in absolute form, whose host replaces the `Host` field, as that RFC demands.

    Whatever looks at the host later looks at `headers`, so that none believes another than the request was sent to.
    """
    url: Any = parse_url(target)  # its errors are httptools' own, as for a path
    is_http = url.schema is not None and url.schema.lower() in (b"http", b"https")
    if not (is_http and url.host) or url.userinfo is not None:
        raise BadTarget
    host = b"[%s]" % url.host if b":" in url.host else url.host
    authority = host if url.port is None else b"%s:%d" % (host, url.port)
    if sum(name == b"host" for name, _ in headers) <= 1:  # more are refused, whatever they say
        headers[:] = [(b"host", authority), *(each for each in headers if each[0] != b"host")]
    path = url.path or b"/"
    return path if url.query is None else b"%s?%s" % (path, url.query)
