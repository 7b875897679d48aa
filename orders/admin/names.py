"""What models and fields are called in the admin, in the reader's language.

Put on Django's own names here and not in the models: there each word would be a migration, which changes no table.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from orders.models import (
    AuditEntry,
    CallbackReceipt,
    Order,
    OrderEvent,
    Payment,
    PaymentCheck,
    RefreshRun,
    Refund,
    Revocation,
)

MODELS: Mapping[type[Model], tuple[Promise, Promise]] = {
    Order: (_("order"), _("orders")),
    OrderEvent: (_("order event"), _("order events")),
    Payment: (_("payment"), _("payments")),
    Refund: (_("refund"), _("refunds")),
    CallbackReceipt: (_("callback receipt"), _("callback receipts")),
    PaymentCheck: (_("payment check"), _("payment checks")),
    RefreshRun: (_("forced refresh"), _("forced refreshes")),
    AuditEntry: (_("audit entry"), _("audit entries")),
    Revocation: (_("revocation"), _("revocations")),
}
FIELDS: Mapping[str, Promise] = {
    "action": _("action"),
    "actor": _("actor"),
    "address": _("address"),
    "at": _("time"),
    "changed_at": _("last change"),
    "checked_at": _("time"),
    "checkout_url": _("checkout URL"),
    "created_at": _("created"),
    "customer": _("customer"),
    "deliveries": _("deliveries"),
    "detail": _("detail"),
    "dispute": _("dispute"),
    "event_id": _("event ID"),
    "failure_code": _("failure code"),
    "id": _("position"),
    "idempotency_key": _("idempotency key"),
    "kind": _("event type"),
    "last_checked_at": _("last check"),
    "merchant_ref": _("reference in the callback"),
    "mode": _("mode"),
    "needs_review": _("needs review"),
    "next_check_at": _("next check"),
    "next_try_at": _("next attempt"),
    "profile": _("check profile"),
    "provider": _("provider"),
    "provider_ref": _("provider's reference"),
    "reason": _("reason"),
    "received_at": _("received"),
    "ref": _("reference"),
    "request_hash": _("request hash"),
    "request_id": _("request ID"),
    "schema": _("schema"),
    "state": _("state"),
    "step": _("step"),
    "took_ms": _("duration (ms)"),
    "tries": _("attempts"),
    "until": _("until"),
    "version": _("version"),
    "what": _("revoked"),
}


def apply() -> None:
    for model, (one, many) in MODELS.items():
        options: Any = model._meta  # noqa: SLF001 — Django's documented name
        options.verbose_name, options.verbose_name_plural = one, many
        for field in options.concrete_fields:
            field.verbose_name = FIELDS.get(field.name, field.verbose_name)
