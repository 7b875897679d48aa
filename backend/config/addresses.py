"""Addresses in the environment, each checked so that what is wrong is one line, without a secret that stands in it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from redis.connection import parse_url

_QUOTE = "characters such as / # ? @ and % in a password are written %2F %23 %3F %40 %25"
_POSTGRES, _VALKEY = ("postgresql", "postgres"), ("redis", "rediss", "unix")


def database_url(value: str) -> str:
    """A URL that libpq understands; several hosts and its parameters are its own. Raises `ValueError`."""
    if value:
        _check_scheme(value, _POSTGRES)
        connection_parameters(value)
    return value


def connection_parameters(url: str) -> Mapping[str, Any]:
    """libpq's parameters of the URL: host, port, user, password, dbname, and what else it says. Raises `ValueError`."""
    try:
        found = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # whose words may quote a part of the password
        raise ValueError(f"must be a URL that PostgreSQL's libpq understands; {_QUOTE}") from None
    ports = [port for port in str(found.get("port", "")).split(",") if port]
    # A socket without a file has a name that begins with @.
    names = f"{str(found.get('host', '')).lstrip('@')}{found.get('dbname', '')}"
    # A password that ends too early leaves its rest where the port and the name of the database should stand.
    if not all(port.isdecimal() and int(port) < 65536 for port in ports) or "@" in names:
        raise ValueError(f"must name a user, a password, a host and a database; {_QUOTE}")
    return found


def valkey_url(value: str) -> str:
    """Raises `ValueError`."""
    if value:
        parts = _check_scheme(value, _VALKEY)
        # redis-py reads a database that makes no sense as 0, and so one installation would use another's.
        base = parts.path.strip("/") if parts.scheme != "unix" else ""
        try:
            parse_url(value)  # type: ignore[no-untyped-call]
        except ValueError:
            raise ValueError(f"must be redis://host:port/number; {_QUOTE}") from None
        if (base and not base.isdecimal()) or parts.fragment or "@" in parts.path:
            raise ValueError(f"must end with the number of a database; {_QUOTE}")
    return value.rstrip("/")


def http_url(value: str) -> str:
    """Raises `ValueError`."""
    if value:
        _check_scheme(value, ("http", "https"))
    return value.rstrip("/")


def site(value: str) -> str:
    """Scheme, name and port, and nothing more: addresses of pages and callbacks are made of it. Raises `ValueError`."""
    parts = _check_scheme(value, ("http", "https"))
    extra = {
        "a path": parts.path.strip("/"),
        "a query": parts.query or value.endswith("?"),
        "a fragment": parts.fragment or value.endswith("#"),
        "a user": "@" in parts.netloc,
    }
    if wrong := [name for name, is_there in extra.items() if is_there]:
        raise ValueError(
            f"must be scheme, name and port alone, without {' or '.join(wrong)}: Ordercast needs a host name of its own"
        )
    return value.rstrip("/").lower()


def without_secrets(value: str, *, has_password: bool) -> str:
    """What may be said of an address that is wrong: nobody knows where a password ends in one that makes no sense."""
    scheme, separator, rest = value.partition("://")
    if has_password or "@" in value:
        return f"{scheme}://…" if separator else "…"
    bare = rest.partition("?")[0].partition("#")[0]
    return value if rest == bare else f"{scheme}://{bare}…"


def shown(url: str) -> str:
    """A good address of PostgreSQL or Valkey without its secrets, whatever characters a password has."""
    scheme = url.partition("://")[0]
    if scheme in _POSTGRES:
        found = connection_parameters(url)
        place = f"{found.get('host', '')}:{found.get('port', '')}".strip(":")
        return f"{scheme}://{place}/{found.get('dbname', '')}"
    parts = urlsplit(url)
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if url else ""


def _check_scheme(value: str, schemes: tuple[str, ...]) -> SplitResult:
    parts, is_good = None, False
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in schemes and bool(parts.netloc or parts.path.strip("/"))
        # Several hosts have several ports, which only libpq can read.
        is_good = is_good and (schemes == _POSTGRES or parts.port != 0)
    except ValueError:  # whose words may quote the password
        is_good = False
    if parts is None or not is_good:
        begins = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"must be a URL that begins with {begins}")
    if schemes[0] == "http" and not parts.hostname:
        raise ValueError("must name a host")
    return parts
