"""Callbacks of the house provider as it would send them, with real signatures."""

import json
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from standardwebhooks import Webhook

from orders.models import Payment


def content(payment: Payment, status: str, **changes: Any) -> dict[str, Any]:
    """What the provider tells of the payment."""
    return {
        "merchant_ref": payment.ref,
        "provider_ref": payment.provider_ref or f"pay_{payment.ref}",
        "status": status,
        "amount": payment.amount,
        "currency": payment.currency,
        "captured": payment.amount if status == "captured" else 0,
        **changes,
    }


def message(payment: Payment, status: str, **changes: Any) -> bytes:
    return json.dumps(
        {"type": f"payment.{status}", "data": content(payment, status, **changes)}
    ).encode()


def signed(
    body: bytes, event_id: str = "evt_1", *, secret: str | None = None, at: datetime | None = None
) -> dict[str, str]:
    at = at or timezone.now()
    secret = secret or str(_house()["webhook_secrets"][0])
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, body.decode()),
    }


def _house() -> dict[str, Any]:
    house: dict[str, Any] = settings.ORDERCAST_PROVIDERS["house"]
    return house


def post(body: bytes, headers: dict[str, str], provider: str = "house") -> HttpResponse:
    # With the CSRF check that a real request meets.
    answer: Any = Client(enforce_csrf_checks=True).post(
        f"/callbacks/{provider}/", body, content_type="application/json", headers=headers
    )
    return answer  # type: ignore[no-any-return]


def deliver(payment: Payment, status: str, event_id: str = "evt_1", **changes: Any) -> HttpResponse:
    """Send a genuine callback about the payment."""
    body = message(payment, status, **changes)
    return post(body, signed(body, event_id))
