"""Who is asking the API, and what each may do: a service with its scopes, a Django user, or the bearer of a grant.

Staff permissions are read as scopes: `view_order` as `orders:read`, `change_order` as `orders:write` and
`payments:write`, `refresh_order` as `refresh`. A customer may look at their own orders, and change none here.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer

from orders import access
from orders.access import Credentials, Kind, Scope, grant_cookie
from orders.domain.cause import Cause, Source
from orders.domain.errors import OrderNotFound
from orders.models import Order
from orders.security import rate_limits
from orders.security.rate_limits import LimitScope

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

_PERMISSIONS = {
    "orders.view_order": (Scope.READ_ORDERS,),
    "orders.change_order": (Scope.WRITE_ORDERS, Scope.WRITE_PAYMENTS),
    "orders.refresh_order": (Scope.REFRESH,),
}


class Forbidden(Exception):
    """These credentials do not carry the scope that the endpoint needs; said before any order is looked for."""

    code = "forbidden"

    def __init__(self, scope: Scope) -> None:
        super().__init__(
            f"These credentials do not carry {str(scope)!r}: use a service token with that scope, or log in as staff "
            "with the permission."
        )
        self.scope = scope


@dataclass(frozen=True, kw_only=True)
class Principal:
    """`actor` is what the journal notes. `refs`: the orders that a grant names, also beside a log-in."""

    actor: str
    source: Source
    kind: Kind
    client: str  # what rate limits count it as
    scopes: frozenset[Scope] = frozenset()
    customer_id: int | None = None
    refs: frozenset[str] = frozenset()

    @property
    def is_trusted(self) -> bool:
        """A service or staff: somebody whom the shop has given a name."""
        return self.kind is Kind.SERVICE or self.source is Source.STAFF

    @property
    def sees_all(self) -> bool:
        """Whoever may look at every order sees all of each."""
        return Scope.READ_ORDERS in self.scopes

    def cause(self, reason: str = "") -> Cause:
        return Cause(self.source, self.actor, reason)

    def need(self, scope: Scope) -> None:
        """Raises `Forbidden` without the scope."""
        if scope not in self.scopes:
            raise Forbidden(scope)

    def may_look(self) -> None:
        """Raises `Forbidden` for a service that has no business with looking; all others have orders of their own."""
        if self.kind is Kind.SERVICE:
            self.need(Scope.READ_ORDERS)

    def visible(self, ref: str) -> Order:
        """The order, if it is there and may be seen. Raises `OrderNotFound` alike for both, after the same work."""
        order = self._orders(ref).filter(ref=ref).prefetch_related("payments").first()
        if order is None:
            raise OrderNotFound(ref)
        return order

    def _orders(self, ref: str) -> QuerySet[Order]:
        # The condition stands in the query: what is not found there costs the same, whether it is or is not.
        if self.kind is Kind.SERVICE or Scope.READ_ORDERS in self.scopes or ref in self.refs:
            return Order.objects.all()
        if self.kind is Kind.GRANT:
            return Order.objects.none()
        return Order.objects.filter(customer_id=self.customer_id)


def of_user(user: "AbstractUser", kind: Kind) -> Principal:
    """What a Django user may do, logged in or by a token."""
    scopes = {s for name, held in _PERMISSIONS.items() if user.has_perm(name) for s in held}
    writes = user.is_staff or Scope.WRITE_ORDERS in scopes
    return Principal(
        actor=user.get_username(),
        source=Source.STAFF if writes else Source.API,
        kind=kind,
        client=f"user:{user.pk}",
        scopes=frozenset(scopes),
        customer_id=user.pk,
    )


def of_token(token: str) -> Principal:
    """Who the bearer of the token is. Raises `access.BadToken` and its kinds."""
    credentials = access.authenticate(token)
    match credentials.kind:
        case Kind.GRANT:
            return _of_grant(credentials)
        case Kind.SERVICE:
            return Principal(
                actor=credentials.subject,
                source=Source.API,
                kind=Kind.SERVICE,
                client=f"service:{credentials.subject}",
                scopes=frozenset(Scope(scope) for scope in credentials.scopes),
            )
    # It was active a moment ago, when its token was found good.
    user = get_user_model().objects.filter(pk=credentials.subject, is_active=True).first()
    if user is None:
        raise access.TokenRevoked("the token's user is no longer active")
    return of_user(user, Kind.USER)


def _of_grant(grant: Credentials) -> Principal:
    return Principal(
        actor="guest",
        source=Source.API,
        kind=Kind.GRANT,
        client=f"grant:{grant.token_id or hash(grant.refs)}",
        refs=grant.refs,
    )


class Bearer(HttpBearer):
    """`Authorization: Bearer …` with a service token, a user token or a grant."""

    def authenticate(self, request: HttpRequest, token: str) -> Principal | None:
        try:
            principal = of_token(token)
        except access.BadToken:
            rate_limits.admit(LimitScope.ANONYMOUS, rate_limits.client(request.META["REMOTE_ADDR"]))
            raise
        rate_limits.admit(LimitScope.API, principal.client)
        return principal


class _Cookie(APIKeyCookie):
    """A cookie; ninja checks the CSRF token of whatever writes."""

    def _get_key(self, request: HttpRequest) -> str | None:
        # Without the cookie there is nothing to forge, and the answer is "log in", not "CSRF".
        if self.param_name not in request.COOKIES:
            return None
        return super()._get_key(request)


class GrantCookie(_Cookie):
    """What an order's page has exchanged the grant in its address for. Beside a log-in it counts as well: `Session`."""

    param_name = grant_cookie.API

    def authenticate(self, request: HttpRequest, key: str | None) -> Principal | None:
        if not key or request.user.is_authenticated:
            return None
        try:
            principal = _of_grant(access.read_grant(key))
        except access.BadToken:
            rate_limits.admit(LimitScope.ANONYMOUS, rate_limits.client(request.META["REMOTE_ADDR"]))
            raise
        rate_limits.admit(LimitScope.API, principal.client)
        return principal


class Session(_Cookie):
    """A Django session."""

    param_name = "sessionid"

    def authenticate(self, request: HttpRequest, key: str | None) -> Principal | None:
        del key
        user = request.user
        if not (user.is_authenticated and user.is_active):
            # The last of the ways in: whoever comes this far has shown nothing.
            rate_limits.admit(LimitScope.ANONYMOUS, rate_limits.client(request.META["REMOTE_ADDR"]))
            return None
        principal = replace(of_user(user, Kind.SESSION), refs=_granted(request))
        rate_limits.admit(LimitScope.API, principal.client)
        return principal


def _granted(request: HttpRequest) -> frozenset[str]:
    """The orders that the browser may show beside those of who is logged in."""
    token = grant_cookie.in_cookies(request.COOKIES)
    try:
        return access.read_grant(token).refs if token else frozenset()
    except access.BadToken:
        return frozenset()
