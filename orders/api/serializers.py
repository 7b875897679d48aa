"""From rows to what the API gives."""

from typing import Any

from orders import access, clock
from orders.access.links import page_url
from orders.api.schemas import (
    EventOut,
    EventsOut,
    GrantOut,
    NewOrderOut,
    OrderOut,
    OrderStateOut,
    PaymentOut,
    RefreshedOut,
)
from orders.commands.refresh import Refreshed
from orders.domain.events import EventRecord
from orders.journal.queries import Page
from orders.models import Order, Payment

_ORDER = [name for name in OrderOut.model_fields if name not in {"epoch", "is_payable", "payments"}]


def order_out(order: Order, epoch: str) -> OrderOut:
    """As services and staff see it."""
    return OrderOut(**_values(order, epoch))


def order_for_customer(order: Order, epoch: str) -> OrderOut:
    """The same without what the shop keeps to itself: the reasons of flags, and of its own notes all but the title."""
    seen = {name: value for name, value in order.metadata.items() if name == "title"}
    return OrderOut(**_values(order, epoch) | {"flags": [], "metadata": seen})


def order_state_out(order: Order, epoch: str) -> OrderStateOut:
    """For whom may write to it and not read it."""
    return OrderStateOut(
        ref=order.ref,
        state=order.state,
        version=order.version,
        epoch=epoch,
        is_cancelling=order.is_cancelling,
    )


def new_order_out(order: Order, epoch: str, *, sees_all: bool) -> NewOrderOut:
    """The metadata is what its maker has just sent. Flags may have come since an earlier request with the same key."""
    grant = access.issue_grant([order.ref])
    values = _values(order, epoch) | ({} if sees_all else {"flags": []})
    return NewOrderOut(**values, grant=grant, page=page_url(order.ref, grant))


def grant_out(ref: str, grant: str) -> GrantOut:
    ends = access.read_token(grant).expires_at
    return GrantOut.model_validate(
        {"grant": grant, "page": page_url(ref, grant), "expires_at": ends}
    )


def payment_out(payment: Payment, order: Order) -> PaymentOut:
    shown = PaymentOut.from_orm(payment)
    # What can no longer be paid leads nobody into paying.
    return shown if order.is_payable(clock.now()) else shown.model_copy(update={"checkout_url": ""})


def refreshed_out(result: Refreshed, *, sees_all: bool) -> RefreshedOut:
    """The detail may quote what the order is worth, and to whom."""
    found = RefreshedOut.from_orm(result)
    return found if sees_all else found.model_copy(update={"detail": ""})


def events_out(page: Page, limit: int) -> EventsOut:
    shown = page.events[:limit]
    return EventsOut(
        order=page.ref,
        epoch=page.epoch,
        version=page.version,
        events=[_event_out(record) for record in shown],
        has_more=bool(shown) and shown[-1].version < page.version,
    )


def _event_out(record: EventRecord) -> EventOut:
    return EventOut(
        version=record.version,
        id=record.id,
        event=record.type,
        state=record.state,
        data=record.public_data,
        source=record.source,
        at=record.at,
    )


def _values(order: Order, epoch: str) -> dict[str, Any]:
    values = {name: getattr(order, name) for name in _ORDER}
    payments = sorted(order.payments.all(), key=lambda payment: payment.pk)
    return {
        **values,
        "epoch": epoch,
        "is_payable": order.is_payable(clock.now()),
        "payments": [payment_out(payment, order) for payment in payments],
    }
