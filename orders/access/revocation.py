"""Taking back what was given: single tokens, all of a user's, all of a service's, all grants for an order.

Everything is asked of PostgreSQL, so it holds while Valkey is away, and about any number of credentials in one query,
so that a process can ask about all its sockets every few seconds.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from pydantic_core import to_json

from orders import clock
from orders.access.credentials import (
    BadToken,
    Credentials,
    Kind,
    TokenExpired,
    TokenRevoked,
    password_mark,
)
from orders.access.tokens import read_token
from orders.models import Revocation

SESSIONS_READ = 500  # at once


class Invalidation(StrEnum):
    """Why credentials are valid no longer."""

    EXPIRED = "expired"
    REVOKED = "revoked"


def authenticate(token: str) -> Credentials:
    """Who the bearer of this token is. Raises `TokenExpired`, `TokenRevoked`, `BadToken`. Reads the database."""
    credentials = read_token(token)
    match invalidated([credentials]).get(credentials):
        case Invalidation.EXPIRED:
            raise TokenExpired("the token has expired; request a new one")
        case Invalidation.REVOKED:
            raise TokenRevoked("the token was revoked")
    return credentials


def read_grant(token: str) -> Credentials:
    """What the grant lets its bearer see (`refs`). Raises `TokenExpired`, `TokenRevoked`, `BadToken`."""
    credentials = authenticate(token)
    if credentials.kind is not Kind.GRANT:
        raise BadToken("the token is not a grant")
    return credentials


def invalidated(many: Collection[Credentials]) -> dict[Credentials, Invalidation]:
    """Those of `many` that no longer stand, and why: run out, revoked, logged out, deactivated, password changed.

    One query, whatever `many` holds; none for the configured service token alone.
    """
    now = clock.now()
    found = {
        c: Invalidation.EXPIRED for c in many if c.expires_at is not None and c.expires_at <= now
    }
    asked = [c for c in many if c not in found and not _is_configured(c)]
    if asked:
        standing = _Standing(asked)
        found |= {c: Invalidation.REVOKED for c in asked if not standing.of(c)}
    return found


def revoke(what: str, *, actor: str, reason: str = "", until: datetime | None = None) -> Revocation:
    """Revoke everything of `what` (see the functions below) that was issued before this moment.

    `until`: when the row is of no more use, because all that it revokes has run out.
    """
    now = clock.now()
    Revocation.objects.filter(until__lte=now).delete()
    made, _ = Revocation.objects.update_or_create(
        what=what, defaults={"at": now, "actor": actor, "reason": reason, "until": until}
    )
    return made


def token_of(credentials: Credentials) -> str:
    return f"token:{credentials.token_id}"


def user(user_id: int) -> str:
    return f"user:{user_id}"


def service(name: str) -> str:
    return f"service:{name}"


def order(ref: str) -> str:
    """All grants that list this order, also together with others."""
    return f"order:{ref}"


def _is_configured(credentials: Credentials) -> bool:
    """The service token of the settings: taken back by changing the settings."""
    return credentials.kind is Kind.SERVICE and not credentials.expires_at


def _names(credentials: Credentials) -> list[str]:
    """Every name under which these credentials can have been revoked."""
    names = [token_of(credentials)] if credentials.token_id else []
    match credentials.kind:
        case Kind.USER | Kind.SESSION:
            names.append(f"user:{credentials.subject}")
        case Kind.SERVICE:
            names.append(service(credentials.subject))
        case Kind.GRANT:
            names += [order(ref) for ref in credentials.refs]
    return names


# What is asked comes as JSON: of a list, psycopg quotes each name in Python.
_STANDING = """
SELECT 'session', session_key, '', NULL::timestamptz FROM django_session
  WHERE session_key IN (SELECT json_array_elements_text(%s)) AND expire_date > now()
 UNION ALL SELECT 'user', id::text, password, NULL FROM {users}
  WHERE id IN (SELECT json_array_elements_text(%s)::bigint) AND is_active
 UNION ALL SELECT 'staff', id::text, '', NULL FROM {users}
  WHERE id IN (SELECT json_array_elements_text(%s)::bigint) AND (is_staff OR is_superuser)
 UNION ALL SELECT 'revoked', what, '', at FROM {revocations} WHERE what IN (SELECT json_array_elements_text(%s))
"""


class _Standing:
    """Sessions, users and revocations as one query saw them."""

    def __init__(self, many: Collection[Credentials]) -> None:
        self._marks: dict[str, str] = {}
        self._sessions: set[str] = set()
        self._staff: set[str] = set()  # of those whom an identity provider has named
        self._revoked: dict[str, datetime] = {}
        users = get_user_model()
        sql = _STANDING.format(
            users=connection.ops.quote_name(users._meta.db_table),  # noqa: SLF001 — Django's documented name
            revocations=connection.ops.quote_name(Revocation._meta.db_table),  # noqa: SLF001 — the same
        )
        sessions, ids, external, names = set[str](), set[int](), set[int](), set[str]()
        for each in many:
            names.update(_names(each))
            if each.session_key:
                sessions.add(each.session_key)
            if (user_id := each.user_id) is not None:
                ids.add(user_id)
                if each.is_external:
                    external.add(user_id)
        with connection.cursor() as cursor:
            asked = (sessions, ids, external, names)
            cursor.execute(sql, [to_json(each).decode() for each in asked])
            for kind, value, password, at in cursor.fetchall():
                if kind == "session":
                    self._sessions.add(value)
                elif kind == "staff":
                    self._staff.add(value)
                elif kind == "user":
                    self._marks[value] = password_mark(users(password=password))
                else:
                    self._revoked[value] = at

    def of(self, credentials: Credentials) -> bool:
        if credentials.user_id is not None and not self._is_user_good(credentials):
            return False
        if credentials.kind is Kind.SESSION:
            # A session is taken back by ending it; a revoked user's tokens say nothing about a new log-in.
            return credentials.session_key in self._sessions
        issued_at = credentials.issued_at
        return not self._revoked or not any(
            issued_at is None or issued_at <= self._revoked[name]
            for name in _names(credentials)
            if name in self._revoked
        )

    def _is_user_good(self, credentials: Credentials) -> bool:
        mark = self._marks.get(credentials.subject)
        if (
            credentials.is_external
            and credentials.subject in self._staff
            and not settings.ORDERCAST_TOKEN_STAFF
        ):
            return False
        return mark is not None and credentials.password_mark in {"", mark}


def end_sessions(user_id: int) -> int:
    """Log a user out everywhere; returns how many log-ins were ended. Reads every live session, a part at a time: a
    server-side cursor would belong to a session of PostgreSQL, which a pooler may give to others.
    """
    live = Session.objects.filter(expire_date__gt=clock.now()).order_by("session_key")
    ended, after = 0, ""
    while part := list(live.filter(session_key__gt=after)[:SESSIONS_READ]):
        after = part[-1].session_key
        for session in part:
            if session.get_decoded().get("_auth_user_id") == str(user_id):
                session.delete()
                ended += 1
    return ended
