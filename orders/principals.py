"""Who is asking the API: a service, a Django user, or the bearer of a grant; and what each may do.

First form: services and staff with the permission may write, everybody else may only look at their own.
"""

from dataclasses import dataclass, field

from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer

from orders import access
from orders.cause import Cause, Source
from orders.errors import OrderNotFound
from orders.models import Order


@dataclass(frozen=True)
class Principal:
    """`actor` is what the journal notes. `refs` are the orders that a grant names."""

    actor: str
    source: Source
    sees_all: bool = False
    writes: bool = False
    refreshes: bool = False
    customer_id: int | None = None
    refs: frozenset[str] = field(default_factory=frozenset)

    def cause(self, reason: str = "") -> Cause:
        return Cause(self.source, self.actor, reason)

    def visible(self, ref: str) -> Order:
        """The order, if it is there and may be seen. Raises `OrderNotFound` alike for both."""
        order = Order.objects.filter(ref=ref).prefetch_related("payments").first()
        if order is None or not self._sees(order):
            raise OrderNotFound(ref)
        return order

    def _sees(self, order: Order) -> bool:
        is_own = self.customer_id is not None and order.customer_id == self.customer_id
        return self.sees_all or is_own or order.ref in self.refs


class Bearer(HttpBearer):
    """`Authorization: Bearer …` with the service token or a grant."""

    def authenticate(self, request: HttpRequest, token: str) -> Principal | None:
        del request
        if access.is_service_token(token):
            return Principal("service", Source.API, sees_all=True, writes=True, refreshes=True)
        try:
            return Principal("guest", Source.API, refs=access.read_grant(token))
        except access.BadToken:
            return None


class Session(APIKeyCookie):
    """A Django session; ninja checks the CSRF token of whatever writes."""

    param_name = "sessionid"

    def authenticate(self, request: HttpRequest, key: str | None) -> Principal | None:
        del key
        user = request.user
        if not (user.is_authenticated and user.is_active):
            return None
        return Principal(
            user.get_username(),
            Source.STAFF if user.is_staff else Source.API,
            sees_all=user.has_perm("orders.view_order"),
            writes=user.has_perm("orders.change_order"),
            refreshes=user.has_perm("orders.refresh_order"),
            customer_id=user.pk,
        )
