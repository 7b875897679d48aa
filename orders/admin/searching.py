"""From whatever reference support is given to the orders that it leads to.

Each question is put by itself, so that each can use its own index: one condition with ORs would read whole tables.
"""

import re
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.postgres.search import SearchQuery
from django.db.models import Q, QuerySet

from orders.models import CallbackReceipt, Order, OrderSearch, Payment
from orders.payments import registry

_AMOUNT = re.compile(
    r"\A(?:(?P<before>[A-Za-z]{3})|[^\w\s-]{1,2})?\s*(?P<number>\d+(?:[.,]\d{1,3})?)\s*"
    r"(?:(?P<after>[A-Za-z]{3})|[^\w\s-]{1,2})?"
)
MOST = 500  # rows that one question may give


def clean(term: str) -> str:
    """What PostgreSQL can compare: no NUL, and no longer than the longest reference."""
    return term.strip().replace("\x00", "")[:256]


def orders_of(term: str) -> list[int]:
    """By the beginning of the order's or a payment's reference; in full by the provider's reference, the idempotency
    key, the user's name, or the id of a provider's event; or by words of the metadata and the amount."""
    # Their keys first: with a subquery, and in an order, the planner would rather walk every order there is.
    users = list(get_user_model().objects.filter(username=term).values_list("pk", flat=True))
    found: list[QuerySet[Any, Any]] = [
        Order.objects.filter(ref__startswith=term.lower()).values_list("pk"),
        Order.objects.filter(idempotency_key=term).values_list("pk"),
        Order.objects.filter(customer__in=users).values_list("pk"),
        Payment.objects.filter(_payment(term)).values_list("order_id"),
        Payment.objects.filter(_provider_ref(term)).values_list("order_id"),
        CallbackReceipt.objects.filter(_event(term)).values_list("payment__order_id"),
        OrderSearch.objects.filter(words=_words(term)).order_by("-pk").values_list("pk"),
    ]
    return [pk for question in found for (pk,) in question[:MOST] if pk is not None]


def payments_of(term: str) -> list[int]:
    """By the beginning of its or its order's reference, or the provider's in full."""
    return _keys(
        Payment.objects.filter(_payment(term)),
        Payment.objects.filter(_provider_ref(term)),
        Payment.objects.filter(order__in=orders_by_ref(term)),
    )


def receipts_of(term: str) -> list[int]:
    """By the provider's event id in full, or by whatever leads to a payment."""
    return _keys(
        CallbackReceipt.objects.filter(_event(term)),
        CallbackReceipt.objects.filter(payment__in=payments_of(term)).order_by("-pk"),
    )


def orders_by_ref(term: str) -> list[int]:
    return _keys(Order.objects.filter(ref__startswith=term.lower()))


def _words(term: str) -> SearchQuery:
    """Every word, or its beginning: `two cof` finds "Two bags of coffee". Amounts as people write them: `€12,50`."""
    amount = _AMOUNT.fullmatch(term)
    if amount:
        term = f"{amount['number'].replace(',', '.')} {amount['before'] or amount['after'] or ''}"
    quoted = (word.replace("\\", "\\\\").replace("'", "''") for word in term.split())
    return SearchQuery(
        " & ".join(f"'{word}':*" for word in quoted), config="simple", search_type="raw"
    )


def _payment(term: str) -> Q:
    return Q(ref__startswith=term.lower())


def _provider_ref(term: str) -> Q:
    return Q(provider__in=list(registry.FACTORIES), provider_ref=term)


def _event(term: str) -> Q:
    return Q(provider__in=list(registry.FACTORIES), event_id=term)


def _keys(*questions: "QuerySet[Any, Any]") -> list[int]:
    return [pk for question in questions for pk in question.values_list("pk", flat=True)[:MOST]]
