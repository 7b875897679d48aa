"""All that is known of one order, for its page: each part bounded to the newest, each read by its index."""

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from orders.access.links import page_url
from orders.admin.base import EMPTY, ahead, deadline, folded, moment
from orders.domain import money
from orders.domain.states import UNPAID
from orders.models import (
    AuditEntry,
    Order,
    OrderEvent,
    Payment,
    PaymentCheck,
    RefreshItem,
    Refund,
)
from orders.support import explain, labels

SHOWN = 200  # of events, checks, receipts and audit entries each


def is_of_use(action: str, order: Order) -> bool:
    """Whether the order's page offers the action; the command decides again when it is made."""
    if action == "clear_review":
        return order.needs_review
    if action in {"accept_late_payment", "return_late_payment"}:
        return order.state in {"cancelled", "expired"} and order.captured > order.refunded
    return True


def all_that_is_known(order: Order, may_see: Callable[[str], bool]) -> dict[str, Any]:
    """The context of the template `admin/orders/order/change_form.html`.

    `may_see` is asked for the permission of each table whose rows have pages of their own; what may not be seen is
    None.
    """
    spelled = money.spelling(order.currency)
    payments = list(order.payments.order_by("-pk"))
    events = OrderEvent.objects.filter(order=order).order_by("-version")[:SHOWN]
    checks = PaymentCheck.objects.filter(payment__in=payments).select_related("payment")
    return {
        "facts": _facts(order, spelled, payments),
        "story": explain.explain(order.ref),
        "events": [_event(event, spelled) for event in events],
        "payments": [
            {
                "row": payment,
                "amount": spelled.write(payment.amount),
                "last": moment(payment.last_checked_at),
                "next": ahead(payment.next_check_at),
            }
            for payment in payments
        ],
        "refunds": [
            {"row": refund, "amount": spelled.write(refund.amount)}
            for refund in Refund.objects.filter(payment__in=payments).order_by("-pk")[:SHOWN]
        ],
        "checks": [
            {"row": check, "source": labels.source(check.source)}
            for check in checks.order_by("-checked_at")[:SHOWN]
        ],
        "receipts": explain.receipts_about({p.pk: p.ref for p in payments}, SHOWN)
        if may_see("callbackreceipt")
        else None,
        "refreshes": RefreshItem.objects.filter(order=order)
        .select_related("run")
        .order_by("-pk")[:10]
        if may_see("refreshrun")
        else None,
        "audit": _audit(order) if may_see("auditentry") else None,
        "shown": SHOWN,
    }


def _audit(order: Order) -> list[dict[str, Any]]:
    entries = AuditEntry.objects.filter(order=order.ref).order_by("-pk")[:SHOWN]
    return [{"row": entry, "source": labels.source(entry.source)} for entry in entries]


def title_of(order: Order) -> str:
    """What the shop calls it."""
    title = order.metadata.get("title", "")
    return title if isinstance(title, str) else ""


def _facts(order: Order, spelled: money.Spelling, payments: list[Payment]) -> dict[str, Any]:
    looks = [p.last_checked_at for p in payments if p.last_checked_at]
    due = [p.next_check_at for p in payments if p.next_check_at]
    amounts = [
        (_("captured"), order.captured),
        (_("refunded"), order.refunded),
        (_("disputed"), order.disputed),
    ]
    return {
        "total": spelled.write(order.total),
        "flags": [labels.flag(flag) for flag in order.flags],
        "page": page_url(order.ref),
        "rows": [
            *([(_("title"), title_of(order))] if title_of(order) else []),
            *((name, spelled.write(amount)) for name, amount in amounts if amount),
            (_("created"), moment(order.created_at)),
            (_("last change"), moment(order.changed_at)),
            (_("last check"), moment(max(looks, default=None))),
            (_("next check"), ahead(min(due, default=None))),
            *(
                [(_("payment deadline"), deadline(order.expires_at))]
                if order.state in UNPAID
                else []
            ),
            (_("customer"), order.customer or EMPTY),
            (_("version"), order.version),
        ],
    }


def _event(event: OrderEvent, spelled: money.Spelling) -> dict[str, Any]:
    amount = event.data.get("amount", event.data.get("refunded"))
    words = [str(event.data[name]) for name in ("reason", "detail", "code") if event.data.get(name)]
    return {
        "row": event,
        "name": labels.event(event.type),
        "source": labels.source(event.source),
        "raw": folded(event.data),
        "amount": "" if amount is None else spelled.write(amount),
        "says": ": ".join(words),
        "tone": _tone(event),
    }


_TONES = {
    "payment.captured": "good",
    "payment.authorised": "good",
    "order.late_payment_accepted": "good",
    "payment.failed": "bad",
    "refund.failed": "bad",
    "order.conflict": "bad",
    "order.flagged": "bad",
    "dispute.opened": "bad",
    "dispute.lost": "bad",
}


def _tone(event: OrderEvent) -> str:
    return _TONES.get(event.type, "")
