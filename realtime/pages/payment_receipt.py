"""What a receipt shows: each sum that came and went, and what is left of it. For paper, so it does not move."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from orders.domain import money
from orders.models import Order
from realtime.pages import order_view, refund_lines

_CAME = ("payment.captured", "payment.captured_late")


@dataclass(frozen=True, kw_only=True)
class Line:
    what: str
    at: datetime
    amount: str


@dataclass(frozen=True, kw_only=True)
class ReceiptView:
    """Amounts are written out. `kept` is what was paid less what went back, by refunds and lost disputes."""

    ref: str
    title: str
    ordered_at: datetime
    total: str
    lines: list[Line]
    has_gone_back: bool
    kept: str


def of(order: Order) -> ReceiptView | None:
    """The receipt of an order, or None where no money has come."""
    _epoch, stream = order_view.read(order.ref)
    facts = stream.facts
    if not facts["captured"]:
        return None
    spelled = money.spelling(facts["currency"])
    lines = [
        (event.at, _("Payment received"), event.public_data["amount"])
        for event in stream.events
        if event.type in _CAME
    ]
    lines += [
        (each.at, _("Refund"), -each.amount)
        for each in refund_lines.of(stream.events)
        if each.state == "done"
    ]
    lines += [
        (event.at, _("Returned by your bank"), -event.public_data["disputed"])
        for event in stream.events
        if event.type == "dispute.lost"
    ]
    gone = sum(amount for _at, _what, amount in lines if amount < 0)
    return ReceiptView(
        ref=order.ref,
        title=order_view.title_of(order),
        ordered_at=order.created_at,
        total=spelled.write(facts["total"]),
        lines=[
            Line(what=what, at=at, amount=spelled.write(amount))
            for at, what, amount in sorted(lines, key=lambda line: line[0])
        ],
        has_gone_back=gone < 0,
        kept=spelled.write(facts["captured"] + gone),
    )
