"""What a token of the identity provider (`ORDERCAST_TOKEN_JWKS`) comes to here: one user, and never more.

The provider says who somebody is; what they may do is ours to say. So its tokens are never grants or services', the
user's id stands in the one claim that the settings name, staff come in only where the settings allow it (`revocation`),
and no token is accepted for longer than `ORDERCAST_TOKEN_LIFETIME`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings

from orders import clock
from orders.access import claims
from orders.access.credentials import BadToken, Credentials, Kind, TokenExpired


def credentials_of(told: Mapping[str, Any]) -> Credentials:
    """Of a token whose signature, issuer, audience and end are good. Raises `BadToken`, `TokenExpired`."""
    if told.get("kind", "user") != "user" or "orders" in told:
        raise BadToken(
            "tokens of the identity provider must be user tokens, not grants or service tokens"
        )
    issued_at, expires_at = claims.instant(told, "iat"), claims.instant(told, "exp")
    if expires_at is None:
        raise BadToken("the token has no `exp`")
    longest, now = timedelta(seconds=settings.ORDERCAST_TOKEN_LIFETIME), clock.now()
    if issued_at is None and expires_at - now > longest:
        raise BadToken(
            "the token has no `iat`, and ends later than ORDERCAST_TOKEN_LIFETIME from now"
        )
    if issued_at is not None:
        expires_at = min(expires_at, issued_at + longest)
    if expires_at <= now:
        raise TokenExpired("the token is older than ORDERCAST_TOKEN_LIFETIME; request a new one")
    return Credentials(
        kind=Kind.USER,
        subject=_user_id(told),
        is_external=True,
        token_id=claims.text(told, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
    )


def _user_id(told: Mapping[str, Any]) -> str:
    name = settings.ORDERCAST_TOKEN_USER_CLAIM
    if not name:
        raise BadToken(
            "the identity provider's tokens name nobody here: ORDERCAST_TOKEN_USER_CLAIM is not set"
        )
    value = told.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadToken(f"the token has no `{name}`, in which the user's id is expected")
    return claims.user_id(value)
