"""Who may see which orders: a Django session, a user's or service's token, or a grant for single orders.

What is wrong with a credential is only distinguished where the client can do something about it: a token that has run
out is one to refresh. A bad one, an order of someone else's and an order that does not exist look the same.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from weakref import WeakKeyDictionary

from django.conf import settings
from django.http import parse_cookie

from orders import access
from orders.access import Credentials, Invalidation, Kind, Scope, grant_cookie
from orders.security import rate_limits
from realtime.access import origins, sessions
from realtime.protocol.messages import MAX_SUBSCRIPTIONS, Close
from realtime.pubsub.names import is_ref
from realtime.runtime.batching import Window
from realtime.runtime.database_threads import DatabaseThreads

_threads = DatabaseThreads("access", 2)

ASKS_PER_QUERY = 200
# Of one connection: a grant for each order, and tokens that were renewed.
MAX_CREDENTIALS = MAX_SUBSCRIPTIONS + 24
IN_SUBPROTOCOL = "bearer."  # beside `orders.v1`, which is the one that is answered with


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
        if len(self.credentials) >= MAX_CREDENTIALS:
            raise Denied(Close.TOO_MANY, f"at most {MAX_CREDENTIALS} tokens on one connection")
        try:
            self.credentials.add(access.read_token(token))
        except access.TokenExpired as expired:
            raise Denied(Close.TOKEN_EXPIRED, str(expired)) from expired
        except access.BadToken as bad:
            raise Denied(Close.FORBIDDEN, Close.FORBIDDEN.meaning) from bad

    def named(self) -> frozenset[str] | None:
        """The only orders that it can come to see, where all that it has shown are grants; else None."""
        if self.session_key or any(each.kind is not Kind.GRANT for each in self.credentials):
            return None
        return frozenset().union(*(each.refs for each in self.credentials))

    def add_cookies(self, cookies: Mapping[str, str]) -> None:
        """A session, and what a grant in an address was exchanged for. Raises `Denied` where that is all there is,
        and it is no good: a stale cookie keeps nobody out who has shown something else."""
        self.session_key = cookies.get(settings.SESSION_COOKIE_NAME) or None
        token = grant_cookie.in_cookies(cookies)
        if not token:
            return
        shown = Access()
        try:
            shown.add(token)
        except Denied:
            if self.is_empty:
                raise
        self.credentials |= {each for each in shown.credentials if each.kind is Kind.GRANT}

    async def visible(self, refs: Iterable[str]) -> set[str]:
        """Which of `refs` may be seen. Of those that a service or a grant names, also ones that do not exist:
        reading them tells. What cannot be the name of an order is never among them.

        Raises `Denied` where a token has run out meanwhile, and the database's errors; the configured service token
        alone needs no database.
        """
        await self.log_in()
        return self.judged(await self.asking(refs))

    async def log_in(self) -> None:
        """Look the session up, if one was shown. The first step of `visible`."""
        if self.session_key is not None:
            found = await _threads.run(_logged_in, self.session_key)
            self.credentials |= found  # which others may have changed meanwhile
            # Not before: who asks meanwhile has to wait for it too.
            self.session_key = None

    def asking(self, refs: Iterable[str]) -> "asyncio.Future[Answer]":
        """The second step of `visible`; the question is put together with others'."""
        wanted = set(filter(is_ref, refs))
        if any(_is_configured_service(each) for each in self.credentials):
            known: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            known.set_result(({}, wanted))
            return known
        return _asking().ask(frozenset(self.credentials), wanted)

    def judged(self, answer: "Answer") -> set[str]:
        """The last step of `visible`: what it comes to.

        What is invalid stays in `credentials`: the access check has still to find it, and to end what it showed.
        """
        invalid, seen = answer
        if not self.credentials - invalid.keys() and Invalidation.EXPIRED in invalid.values():
            raise Denied(Close.TOKEN_EXPIRED, "the token has expired, request a new one")
        return seen


async def invalidated(many: Collection[Credentials]) -> dict[Credentials, Invalidation]:
    """Which of these have expired or were revoked: one query for all sockets. Raises the database's errors."""
    return await _threads.run(access.invalidated, many)


async def still_seen(asked: Mapping[int, set[str]]) -> dict[int, set[str]]:
    """Which of these orders each user may see now: one query for all customers. Raises the database's errors."""
    return await _threads.run(access.still_seen, asked)


def holders(shown: Access, address: str) -> frozenset[str]:
    """Whom a connection is counted for: its address, grants, and user. Nobody, where a service has said who it is."""
    if any(each.kind is Kind.SERVICE for each in shown.credentials):
        return frozenset()
    names = {_holder(each) for each in shown.credentials}
    if address:
        names.add(f"address:{rate_limits.client(address)}")
    return frozenset(names)


def _holder(credentials: Credentials) -> str:
    if credentials.kind is Kind.GRANT:
        return f"grant:{credentials.token_id or ','.join(sorted(credentials.refs))}"
    return f"user:{credentials.subject}"


def access_of(scope: Mapping[str, Any]) -> Access:
    """What the handshake or request brings along: `?token=`, `Authorization: Bearer`, the subprotocol `bearer.<token>`,
    a session, the cookie that a grant was exchanged for. Raises `Denied`.

    A page of another site may bring a token, but never rides on its visitor's cookies.
    """
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return access_in(origins.decoded(scope["headers"]), query, scope.get("subprotocols", ()))


def access_in(
    headers: Mapping[bytes, str], query: Mapping[str, list[str]], subprotocols: Iterable[str]
) -> Access:
    """The same, of a handshake that is taken apart already."""
    found = Access()
    tokens = query.get("token", [])[:1]
    scheme, _, bearer = headers.get(b"authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        tokens.append(bearer.strip())
    # A browser can set no header on a WebSocket, and an address ends up in logs: this is its third way.
    tokens += [
        offered.removeprefix(IN_SUBPROTOCOL)
        for offered in subprotocols
        if offered.startswith(IN_SUBPROTOCOL)
    ]
    for token in tokens:
        found.add(token)
    if b"cookie" in headers and origins.is_own(headers):
        found.add_cookies(parse_cookie(headers[b"cookie"]))
    return found


def _is_configured_service(credentials: Credentials) -> bool:
    return credentials.kind is Kind.SERVICE and credentials.expires_at is None


def _logged_in(session_key: str) -> set[Credentials]:
    user = sessions.user_of(session_key)
    return {access.of_session(user, session_key)} if user.is_authenticated else set()


_Ask = tuple[frozenset[Credentials], set[str]]
Answer = tuple[dict[Credentials, Invalidation], set[str]]


def _seen(asks: Sequence[_Ask]) -> list[Answer]:
    """For each ask, which of its credentials are invalid by now, and what the others let it see."""
    invalid = access.invalidated(frozenset().union(*(many for many, _ in asks)))
    if not invalid:
        return [({}, _seen_by(many, wanted)) for many, wanted in asks]
    return [
        (
            {each: invalid[each] for each in many & invalid.keys()},
            _seen_by(many - invalid.keys(), wanted),
        )
        for many, wanted in asks
    ]


def _seen_by(many: Iterable[Credentials], wanted: set[str]) -> set[str]:
    seen: set[str] = set()
    for each in many:
        match each.kind:
            case Kind.GRANT:
                seen |= wanted & each.refs
            case Kind.SERVICE:
                seen |= wanted if Scope.READ_ORDERS in each.scopes else set()
            case _:
                seen |= access.visible_to(each, wanted - seen)
    return seen


class _Asking:
    """One event loop's asks, coalesced: pages come back by the thousand, and a thread's hop and a query for each
    would hold them up for seconds."""

    def __init__(self) -> None:
        self._waiting: list[tuple[_Ask, asyncio.Future[Answer]]] = []
        self._window = Window(self._flush)

    def ask(self, many: frozenset[Credentials], wanted: set[str]) -> "asyncio.Future[Answer]":
        """Raises the database's errors."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(((many, wanted), answer))
        self._window.ask()
        return answer

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), ASKS_PER_QUERY):
            part = waiting[start : start + ASKS_PER_QUERY]
            task = asyncio.get_running_loop().create_task(self._answer(part), name="access")
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)

    async def _answer(self, part: "list[tuple[_Ask, asyncio.Future[Answer]]]") -> None:
        try:
            found = await _threads.run(_seen, [ask for ask, _ in part])
        except Exception as error:  # noqa: BLE001 — whatever it is, those who asked must hear it
            for _, answer in part:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), each in zip(part, found, strict=True):
            if not answer.done():
                answer.set_result(each)


_tasks: set[asyncio.Task[None]] = set()  # asyncio itself holds only weak references
_askings: WeakKeyDictionary[asyncio.AbstractEventLoop, _Asking] = WeakKeyDictionary()


def _asking() -> _Asking:
    return _askings.setdefault(asyncio.get_running_loop(), _Asking())
