"""One address of Valkey, as each library that uses it wants it: the same server, certificate and prefix for all.

A `rediss://` address is verified by everybody: certificate and host name, against the system's authorities or the file
that the address names (`?ssl_ca_certs=/etc/ssl/private-ca.pem`).
"""

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.connection import parse_url


class JsonSerializer:
    """What Django's cache keeps in Valkey. Its own is pickle, which runs whatever somebody has written there."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, value: bytes) -> Any:
        """None, as for a key that is not there, where it is no JSON."""
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None


def broker(url: str) -> tuple[str, dict[str, Any] | None]:
    """Celery's address, and how it verifies the server: kombu takes `rediss://` alone for "do not"."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query)
    if parts.scheme == "unix":
        # For a socket, the number of the database has another name.
        named = [("virtual_host" if name == "db" else name, value) for name, value in query]
        return f"redis+socket://{parts.path}?{urlencode(named)}".rstrip("?"), None
    if parts.scheme != "rediss":
        return url, None
    tls: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    tls |= {name: value for name, value in parse_url(url).items() if name.startswith("ssl_")}  # type: ignore[no-untyped-call]
    rest = [(name, value) for name, value in query if name not in tls]
    return urlunsplit(parts._replace(query=urlencode(rest))), tls
