"""Which orders someone may see."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model

from orders.access.credentials import Credentials, Kind, Scope
from orders.models import Order

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser, AnonymousUser


def visible_refs(user: "AbstractUser | AnonymousUser", refs: Iterable[str]) -> set[str]:
    """Which of `refs` the Django user may see: staff with the permission all that exist, a customer their own."""
    if not (user.is_authenticated and user.is_active):
        return set()
    # One query with the condition in it, so that an unknown order and a stranger's cost the same.
    orders = Order.objects.filter(ref__in=list(refs))
    if not user.has_perm("orders.view_order"):
        orders = orders.filter(customer_id=user.pk)
    return set(orders.values_list("ref", flat=True))


def visible_to(credentials: Credentials, refs: Iterable[str]) -> set[str]:
    """Which of `refs` exist and may be seen with these credentials, whatever kind they are. Reads the database.

    Does not ask whether they still stand; `revocation.lapsed` does.
    """
    wanted = list(refs)
    match credentials.kind:
        case Kind.SERVICE:
            wanted = wanted if Scope.READ_ORDERS in credentials.scopes else []
        case Kind.GRANT:
            wanted = [ref for ref in wanted if ref in credentials.refs]
        case Kind.USER | Kind.SESSION:
            user = get_user_model().objects.filter(pk=credentials.subject).first()
            return visible_refs(user, wanted) if user is not None else set()
    return set(Order.objects.filter(ref__in=wanted).values_list("ref", flat=True))
