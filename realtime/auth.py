"""Who may see which orders: a Django session, a user's or service's token, or a grant for single orders.

What is wrong with a credential is only told apart where the client can do something about it: a token that has run
out is one to refresh. A bad one, an order of someone else's and an order that does not exist look the same.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.http import parse_cookie
from django.http.request import validate_host

from orders import access
from orders.access import Credentials, Kind, Lapse, Scope
from realtime.database import DatabaseThreads
from realtime.messages import Close

_threads = DatabaseThreads("access", 2)


class Denied(Exception):
    """Nothing may be seen with this. `code` is the close code."""

    def __init__(self, code: Close, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Access:
    """What one connection has shown so far, and what that lets it see."""

    credentials: set[Credentials] = field(default_factory=set)
    session_key: str | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.credentials or self.session_key)

    def add(self, token: str) -> None:
        """Look at signature and time; whether it was revoked is asked with `visible`. Raises `Denied`."""
        try:
            self.credentials.add(access.read_token(token))
        except access.TokenExpired as expired:
            raise Denied(Close.TOKEN_EXPIRED, str(expired)) from expired
        except access.BadToken as bad:
            raise Denied(Close.FORBIDDEN, Close.FORBIDDEN.meaning) from bad

    async def visible(self, refs: Iterable[str]) -> set[str]:
        """Which of `refs` may be seen. Of those that a service or a grant names, also ones that do not exist:
        reading them tells.

        Raises `Denied` where a token has run out meanwhile, and the database's errors; the configured service token
        alone needs no database.
        """
        wanted = set(refs)
        if any(_is_configured_service(each) for each in self.credentials):
            return wanted
        if self.session_key is not None:
            session_key, self.session_key = self.session_key, None
            self.credentials |= await _threads.run(_logged_in, session_key)
        credentials = frozenset(self.credentials)
        lapses, seen = await _threads.run(_seen, credentials, wanted)
        self.credentials -= lapses.keys()
        if not self.credentials and Lapse.EXPIRED in lapses.values():
            raise Denied(Close.TOKEN_EXPIRED, "the token has run out; ask for a new one")
        return seen


async def lapsed(many: Collection[Credentials]) -> dict[Credentials, Lapse]:
    """Which of these no longer stand: one query for all sockets of a process. Raises the database's errors."""
    return await _threads.run(access.lapsed, many)


def access_of(scope: Mapping[str, Any]) -> Access:
    """What the handshake or request brings along: `?token=`, `Authorization: Bearer`, a session. Raises `Denied`.

    A page of another site may bring a token, but never rides on its visitor's cookies.
    """
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope["query_string"].decode("latin-1"))
    found = Access()
    tokens = query.get("token", [])[:1]
    scheme, _, bearer = headers.get(b"authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        tokens.append(bearer.strip())
    for token in tokens:
        found.add(token)
    if is_own_origin(headers):
        cookies = parse_cookie(headers.get(b"cookie", ""))
        found.session_key = cookies.get(settings.SESSION_COOKIE_NAME) or None
    return found


def is_own_origin(headers: Mapping[bytes, str]) -> bool:
    """Whether the request comes from a page of ours, or from no page at all (only browsers name an origin)."""
    origin = headers.get(b"origin")
    if origin is None:
        return True
    parts = urlsplit(origin)
    is_same = parts.netloc.lower() == headers.get(b"host", "").lower()
    return bool(parts.hostname) and (
        is_same or validate_host(parts.hostname or "", settings.ALLOWED_HOSTS)
    )


def _is_configured_service(credentials: Credentials) -> bool:
    return credentials.kind is Kind.SERVICE and credentials.expires_at is None


def _logged_in(session_key: str) -> set[Credentials]:
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    # All that Django's own look at a session needs of a request.
    request: Any = SimpleNamespace(session=store)
    user: Any = get_user(request)
    return {access.of_session(user, session_key)} if user.is_authenticated else set()


def _seen(
    many: frozenset[Credentials], wanted: set[str]
) -> tuple[dict[Credentials, Lapse], set[str]]:
    lapses = access.lapsed(many)
    seen: set[str] = set()
    for each in many - lapses.keys():
        match each.kind:
            case Kind.GRANT:
                seen |= wanted & each.refs
            case Kind.SERVICE:
                seen |= wanted if Scope.READ_ORDERS in each.scopes else set()
            case _:
                seen |= access.visible_to(each, wanted - seen)
    return lapses, seen
