"""Reading a token's claims, which anybody may have written: each is what it should be, or the token is a bad one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orders.access.credentials import BadToken

_LATEST = 253_402_300_799  # the last second that a datetime can hold


def text(claims: Mapping[str, Any], name: str) -> str:
    """Raises `BadToken`."""
    value = claims.get(name, "")
    if not isinstance(value, str) or "\x00" in value or len(value) > 500:
        raise BadToken(f"the token's `{name}` is malformed")
    return value


def instant(claims: Mapping[str, Any], name: str) -> datetime | None:
    """Raises `BadToken`."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise BadToken(f"the token's `{name}` is malformed")
    return datetime.fromtimestamp(value, UTC)


def user_id(value: str) -> str:
    """Raises `BadToken` for what is no user's id."""
    if not (value.isascii() and value.isdecimal() and len(value) < 18):
        raise BadToken("the token names no user: a user's id is expected")
    return value
