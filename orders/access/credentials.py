"""Who someone has proved to be, whichever way they came in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser


class BadToken(Exception):
    """The token is not ours, or makes no sense: ask for a new one."""


class TokenExpired(BadToken):
    """The token was good once: refresh it and come back."""


class TokenRevoked(BadToken):
    """The token was taken back, or its user's password has changed: refreshing is no use."""


class Kind(StrEnum):
    SESSION = "session"  # a Django log-in
    USER = "user"  # a token that speaks for one Django user
    GRANT = "grant"  # a token that lists orders, for whoever holds it
    SERVICE = "service"  # a token with scopes, for another program


class Scope(StrEnum):
    """What a service may do."""

    WRITE_ORDERS = "orders:write"
    READ_ORDERS = "orders:read"
    WRITE_PAYMENTS = "payments:write"
    REFRESH = "refresh"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """One proof of who somebody is. Hashable, so that many can be looked at together (`revocation.invalidated`).

    `subject` is a user's id or a service's name. `password_mark` changes with the user's password; "" where the
    token was issued by somebody who cannot know it.
    """

    kind: Kind
    subject: str = ""
    refs: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    token_id: str = ""
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    session_key: str = ""
    password_mark: str = ""
    is_external: bool = False  # an identity provider's word for who it is

    def __hash__(self) -> int:
        # Few of its fields are enough, and it is asked for often.
        return hash((self.token_id, self.session_key, self.subject))

    @property
    def user_id(self) -> int | None:
        return int(self.subject) if self.kind in {Kind.SESSION, Kind.USER} else None

    @property
    def actor(self) -> str:
        """What a log calls them. Names nobody's secret."""
        return f"{self.kind}:{self.subject}" if self.subject else str(self.kind)


def password_mark(user: "AbstractUser") -> str:
    """Changes whenever the user's password does; tells nothing about it."""
    return user.get_session_auth_hash()[:16]


def of_session(user: "AbstractUser", session_key: str | None) -> Credentials:
    """What a Django log-in proves, for as long as its session lives and the password stays."""
    return Credentials(
        kind=Kind.SESSION,
        subject=str(user.pk),
        session_key=session_key or "",
        password_mark=password_mark(user),
    )
