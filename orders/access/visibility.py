"""Which orders someone may see."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import connection

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

    Does not ask whether they still stand; `revocation.invalidated` does.
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


_OWN = """
SELECT o.customer_id, o.ref FROM unnest(%s::bigint[], %s::text[]) AS asked(customer, ref)
  JOIN orders_order o ON o.ref = asked.ref AND o.customer_id = asked.customer
"""


def still_seen(asked: Mapping[int, set[str]]) -> dict[int, set[str]]:
    """Which of these orders each user may see now, by the users' ids: what is left of a right that was given before.

    One query for all customers. Only whoever watches an order of somebody else costs more: staff, and they are few.
    """
    pairs = [(user_id, ref) for user_id, refs in asked.items() for ref in refs]
    seen: dict[int, set[str]] = {user_id: set() for user_id in asked}
    with connection.cursor() as cursor:
        cursor.execute(_OWN, [[user_id for user_id, _ in pairs], [ref for _, ref in pairs]])
        for user_id, ref in cursor.fetchall():
            seen[user_id].add(ref)
    others = [user_id for user_id in asked if asked[user_id] - seen[user_id]]
    for user in get_user_model().objects.filter(pk__in=others, is_active=True):
        seen[user.pk] |= visible_refs(user, asked[user.pk] - seen[user.pk])
    return seen
