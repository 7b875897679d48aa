"""The tables. An order row is a projection of its events; the journal is the only writer of both."""

from orders.models.access import AuditEntry, Revocation
from orders.models.order import EPOCH, JournalEpoch, Order, OrderEvent, new_epoch, new_ref
from orders.models.payment import CallbackReceipt, Payment, PaymentCheck, Refund
from orders.models.refresh import RefreshItem, RefreshRun
from orders.models.return_code import ReturnCode
from orders.models.search import OrderSearch

__all__ = [
    "EPOCH",
    "AuditEntry",
    "CallbackReceipt",
    "JournalEpoch",
    "Order",
    "OrderEvent",
    "OrderSearch",
    "Payment",
    "PaymentCheck",
    "RefreshItem",
    "RefreshRun",
    "Refund",
    "ReturnCode",
    "Revocation",
    "new_epoch",
    "new_ref",
]
