"""Tokens: JWTs that name a user, list orders (a grant), or carry a service's scopes.

Whoever has a token has what it gives, until it runs out or is revoked (`revocation`). Reading one here checks its
signature and its time; `revocation.authenticate` also asks whether it still stands.
"""

import hmac
import secrets
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jwt
from django.conf import settings

from orders import clock
from orders.access import identity_provider, keys
from orders.access.claims import instant, text, user_id
from orders.access.credentials import (
    ALL_SCOPES,
    BadToken,
    Credentials,
    Kind,
    Scope,
    TokenExpired,
    password_mark,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

AUDIENCE = "ordercast"
GRANT_LIFETIME = timedelta(days=30)
USER_LIFETIME = timedelta(hours=1)
SERVICE_LIFETIME = timedelta(days=90)
MAX_LIFETIME = timedelta(days=366)
SKEW = timedelta(minutes=1)  # what another issuer's clock may differ from ours
MAX_TOKEN = 16_384  # characters
MAX_NAME = (
    100  # characters of a service's name, which stands in journal, audit and idempotency keys
)


def issue_grant(refs: Iterable[str], lifetime: timedelta = GRANT_LIFETIME) -> str:
    """A token that lets its bearer see the orders `refs` for `lifetime`."""
    return _issue({"orders": sorted(refs)}, lifetime)


def narrowed(grant: Credentials, ref: str) -> str:
    """The same grant for one of its orders alone: it expires, and is revoked, with the whole one."""
    said: dict[str, Any] = {"aud": AUDIENCE, "orders": [ref], "jti": grant.token_id}
    for name, at in (("iat", grant.issued_at), ("exp", grant.expires_at)):
        if at is not None:
            said[name] = at.timestamp()
    return _signed(said)


def issue_user_token(user: "AbstractUser", lifetime: timedelta = USER_LIFETIME) -> str:
    """A token that speaks for a Django user, until `lifetime` is over or the password changes."""
    return _issue({"kind": "user", "sub": str(user.pk), "pwm": password_mark(user)}, lifetime)


def issue_service_token(
    name: str, scopes: Iterable[str], lifetime: timedelta = SERVICE_LIFETIME
) -> str:
    """A token for another program. Raises `ValueError` for a scope that there is not, and for no name or a long one."""
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"a service's name has 1 to {MAX_NAME} characters, for example 'billing'")
    wanted = sorted(Scope(scope) for scope in scopes)
    return _issue({"kind": "service", "sub": name, "scope": " ".join(wanted)}, lifetime)


def _issue(claims: dict[str, Any], lifetime: timedelta) -> str:
    now = clock.now()
    claims |= {
        "aud": AUDIENCE,
        # Not rounded: what is issued just after a revocation is good, and what was just before is not.
        "iat": now.timestamp(),
        "exp": (now + lifetime).timestamp(),
        "jti": secrets.token_urlsafe(9),
    }
    return _signed(claims)


def _signed(claims: dict[str, Any]) -> str:
    secret, key_id = keys.signing()
    return jwt.encode(claims, secret, algorithm=keys.OURS, headers={"kid": key_id})


def is_service_token(token: str) -> bool:
    """Whether it is the configured service token, compared in constant time."""
    return hmac.compare_digest(
        token.encode("utf-8", "surrogatepass"), settings.ORDERCAST_SERVICE_TOKEN.encode()
    )


def read_token(token: str) -> Credentials:
    """What the token says, once its signature and its time are good. Raises `TokenExpired`, `BadToken`.

    Not whether it was revoked; that is `revocation.authenticate`.
    """
    if is_service_token(token):
        return Credentials(kind=Kind.SERVICE, subject="service", scopes=ALL_SCOPES)
    if len(token) > MAX_TOKEN:
        raise BadToken("invalid token: too long")
    claims, is_ours = _verified(token)
    return _credentials(claims) if is_ours else identity_provider.credentials_of(claims)


def _verified(token: str) -> tuple[dict[str, Any], bool]:
    """What it claims, and whether a key of ours has signed it."""
    try:
        candidates = list(keys.verifying(_header(token.partition(".")[0])))
    except (jwt.InvalidTokenError, ValueError, TypeError) as invalid:
        raise BadToken(f"invalid token: {invalid}") from invalid
    for key, algorithm in candidates:
        try:
            claims = _decode(token, key, algorithm)
        except jwt.InvalidSignatureError:
            continue
        # PyJWT lets what a hostile claim does to int() and datetime through.
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as invalid:
            raise BadToken(f"invalid token: {invalid}") from invalid
        else:
            is_ours = algorithm == keys.OURS
            return claims if is_ours else _as_early_as_can_be(claims), is_ours
    raise BadToken("invalid token: not signed by a known key")


def _as_early_as_can_be(claims: dict[str, Any]) -> dict[str, Any]:
    """By an issuer's clock that is ahead, a token would be younger than the revocation that came after it."""
    issued_at = instant(claims, "iat")
    if issued_at is None:
        return claims
    return claims | {"iat": max(0.0, (issued_at - SKEW).timestamp())}


@lru_cache(maxsize=64)
def _header(segment: str) -> dict[str, Any]:
    """What a token's first part says: the same for all that one key has signed, so they are read once."""
    return jwt.get_unverified_header(f"{segment}..")


def _decode(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=AUDIENCE if algorithm == keys.OURS else settings.ORDERCAST_TOKEN_AUDIENCE,
        issuer=settings.ORDERCAST_TOKEN_ISSUER or None if algorithm != keys.OURS else None,
        # PyJWT goes by this machine's clock; see `_check_times`.
        options={
            "require": ["exp", "aud"], "verify_iat": False, "verify_exp": False, "verify_nbf": False
        },
    )  # fmt: skip
    _check_times(claims)
    return claims


def _check_times(claims: dict[str, Any]) -> None:
    """By PostgreSQL's clock. An issuer whose clock is ahead must not lock its users out: what counts is the end."""
    now, ends, begins = clock.now(), instant(claims, "exp"), instant(claims, "nbf")
    if ends is not None and ends <= now:
        raise TokenExpired("the token has expired; request a new one")
    if begins is not None and begins > now + SKEW:
        raise BadToken("the token is not valid yet (`nbf`)")


def _credentials(claims: dict[str, Any]) -> Credentials:
    kind = claims.get("kind", "grant" if "orders" in claims else "user")
    made: dict[str, Any] = {
        "token_id": text(claims, "jti"),
        "issued_at": instant(claims, "iat"),
        "expires_at": instant(claims, "exp"),
    }
    match kind:
        case "grant":
            return Credentials(kind=Kind.GRANT, refs=_refs(claims), **made)
        case "service":
            scopes = frozenset(text(claims, "scope").split()) & ALL_SCOPES
            name = text(claims, "sub") or "service"
            if len(name) > MAX_NAME:
                raise BadToken(f"the token's `sub`, a service's name, is longer than {MAX_NAME}")
            return Credentials(kind=Kind.SERVICE, subject=name, scopes=scopes, **made)
        case "user":
            subject = user_id(text(claims, "sub"))
            mark = text(claims, "pwm")
            return Credentials(kind=Kind.USER, subject=subject, password_mark=mark, **made)
    raise BadToken("the token's `kind` is not grant, user or service")


def _refs(claims: dict[str, Any]) -> frozenset[str]:
    refs = claims.get("orders")
    if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
        raise BadToken("the grant lists no orders")
    return frozenset(refs)
