"""Orders past their deadline: which of them can expire unasked, which are asked about first, and the move itself."""

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from orders.domain import events
from orders.domain.cause import Cause
from orders.domain.payment_status import LIVE
from orders.domain.states import MOVES
from orders.models import Order, Payment
from orders.schedule import checks


@transaction.atomic
def expire_order(ref: str, *, now: datetime, cause: Cause) -> bool:
    """Expire an order past its deadline; the caller has just asked the provider. False where it no longer applies."""
    order = Order.objects.locked(ref)
    if (
        not order.is_past_deadline(now)
        or order.captured
        or order.state not in MOVES["expire"].sources
    ):
        return False
    if order.payments.filter(status__in=LIVE).exists():  # begun since the question
        return False
    assert order.expires_at is not None  # noqa: S101 — for the type checker; is_past_deadline says so
    order.make("expire", events.OrderExpired(expired_at=order.expires_at.isoformat()), cause)
    return True


def overdue_orders(now: datetime, limit: int) -> list[str]:
    """Orders past their deadline with nothing open at a provider: they can expire without a question."""
    sources = sorted(MOVES["expire"].sources)
    due = Order.objects.filter(expires_at__lte=now, state__in=sources, captured=0)
    # A failed attempt too is asked about after the deadline, as long as it is on its timetable.
    is_open = Q(status__in=LIVE) | Q(next_check_at__isnull=False)
    closed = due.exclude(Exists(Payment.objects.filter(is_open, order=OuterRef("pk"))))
    return list(closed.order_by("expires_at").values_list("ref", flat=True)[:limit])


def trigger_overdue(now: datetime) -> int:
    """Bring forward the check of payments that nobody has asked about since their order's deadline passed."""
    sources = sorted(MOVES["expire"].sources)
    overdue = Order.objects.filter(expires_at__lte=now, state__in=sources)
    asked_before = Q(last_checked_at__isnull=True) | Q(last_checked_at__lt=F("order__expires_at"))
    # Also those whose timetable came to its end long before the deadline.
    is_due_later = Q(next_check_at__gt=now) | Q(next_check_at__isnull=True, status__in=LIVE)
    payments = Payment.objects.filter(asked_before, is_due_later, order__in=overdue)
    return checks.bring_forward(payments, now)
