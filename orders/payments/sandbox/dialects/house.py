"""The sandbox's own way to call back: the whole payment, signed by Standard Webhooks."""

import json
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook

from orders.payments.sandbox import api
from orders.payments.sandbox.dialects import Dialect, Told
from orders.payments.sandbox.payments import Payment


class House(Dialect):
    name = "house"
    routes = api.routes

    def tells(self, payment: Payment, event_type: str) -> list[str]:
        return [event_type]

    def body(
        self, payment: Payment, told: Told, checkout_url: str, changes: dict[str, Any]
    ) -> bytes:
        data = {**payment.dump(), "checkout_url": checkout_url, **changes}
        event = {"type": told.type, "occurred_at": payment.updated_at, "data": data}
        return json.dumps(event).encode()

    def headers(self, event_id: str, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(event_id, at, body.decode()),
        }

    def is_taken(self, status: int, answer: bytes) -> bool:
        return 200 <= status < 300
