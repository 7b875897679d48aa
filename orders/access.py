"""Who may see and move what: the service token, Django users, and grants for single orders.

A grant is a signed token that lists order refs. It is put into an order page's link, so that a guest can see that
order and no other. Whoever has the link has the grant, until it runs out.
"""

import hmac
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import jwt
from django.conf import settings
from django.utils import timezone

from orders.models import Order

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser, AnonymousUser

AUDIENCE = "ordercast"
ALGORITHM = "HS256"
GRANT_LIFETIME = timedelta(days=30)


class BadToken(Exception):
    """The token is not ours, or makes no sense: ask for a new one."""


class TokenExpired(BadToken):
    """The token was good once: refresh it and come back."""


def issue_grant(refs: Iterable[str], lifetime: timedelta = GRANT_LIFETIME) -> str:
    """A token that lets its bearer see the orders `refs` for `lifetime`."""
    claims = {"aud": AUDIENCE, "orders": sorted(refs), "exp": timezone.now() + lifetime}
    return jwt.encode(claims, settings.SECRET_KEY, algorithm=ALGORITHM)


def read_grant(token: str) -> frozenset[str]:
    """The refs that the grant lets its bearer see. Raises `TokenExpired`, `BadToken`."""
    try:
        claims = jwt.decode(
            token,
            settings.SECRET_KEY,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            options={"require": ["exp", "aud"]},
        )
    except jwt.ExpiredSignatureError as expired:
        raise TokenExpired("the grant has run out; ask the shop for a new link") from expired
    except jwt.InvalidTokenError as invalid:
        raise BadToken(f"not a grant of ours: {invalid}") from invalid
    refs = claims.get("orders")
    if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
        raise BadToken("the grant lists no orders")
    return frozenset(refs)


def is_service_token(token: str) -> bool:
    """Whether it is the configured service token, compared in constant time."""
    return hmac.compare_digest(token.encode(), settings.ORDERCAST_SERVICE_TOKEN.encode())


def visible_refs(user: "AbstractUser | AnonymousUser", refs: Iterable[str]) -> set[str]:
    """Which of `refs` the Django user may see: staff with the permission all that exist, a customer their own."""
    orders = Order.objects.filter(ref__in=list(refs))
    if not (user.is_authenticated and user.is_active):
        return set()
    if not user.has_perm("orders.view_order"):
        orders = orders.filter(customer_id=user.pk)
    return set(orders.values_list("ref", flat=True))
