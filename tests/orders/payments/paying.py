"""Payments at the sandbox, made and paid by a test."""

import secrets
from collections.abc import Callable
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.orders.payments.receiver import Received, Receiver
from tests.sandbox import SandboxProcess

Pay = Callable[..., dict[str, Any]]


def create(sandbox: SandboxProcess, callbacks: Receiver, /, **metadata: Any) -> dict[str, Any]:
    body = {
        "merchant_ref": secrets.token_hex(16),
        "amount": 1250,
        "currency": "EUR",
        "callback_url": callbacks.url,
        "metadata": metadata,
    }
    payment: dict[str, Any] = sandbox.control("POST", "/v1/payments", body)
    return payment


def is_genuine(sandbox: SandboxProcess, received: Received) -> bool:
    try:
        Webhook(sandbox.secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


def states(sandbox: SandboxProcess, payment: dict[str, Any]) -> list[str]:
    return [delivery["state"] for delivery in sandbox.deliveries(payment["provider_ref"])]
