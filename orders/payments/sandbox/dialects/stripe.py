"""Stripe's shapes over the sandbox's payments: sessions, intents, charges, refunds, disputes, events and signatures.

Pure views: each of Stripe's ids is the payment's own with another prefix. Only what this project reads is there.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from orders.payments.sandbox.dialects import Dialect, Told
from orders.payments.sandbox.money import decimals
from orders.payments.sandbox.payments import Payment, Refund

Object = dict[str, Any]
_EXTRA_DECIMALS = {"ISK": 2, "UGX": 2}  # zero-decimal by ISO 4217, two by Stripe
_INTENT = {
    "pending": "requires_payment_method",
    "failed": "requires_payment_method",
    "processing": "processing",
    "authorised": "requires_capture",
    "captured": "succeeded",
    "cancelled": "canceled",
    "expired": "canceled",
}
_DISPUTE = {"open": "needs_response", "won": "won", "lost": "lost"}


def scale(currency: str) -> int:
    return int(10 ** _EXTRA_DECIMALS.get(currency, decimals(currency)) // 10 ** decimals(currency))


def stripe_id(prefix: str, ref: str) -> str:
    return f"{prefix}_{ref.partition('_')[2]}"


def is_checkout(payment: Payment) -> bool:
    return "session" in payment.metadata


def was_tried(payment: Payment) -> bool:
    """Whether a customer has confirmed: only then a session has an intent."""
    is_untouched = payment.status in ("pending", "cancelled", "expired")
    return not (is_untouched and not payment.authorised and not payment.failure_code)


def inside(paths: Sequence[str], name: str) -> list[str] | None:
    """What is to be expanded within `name`; None where it is not to be expanded itself."""
    found = [path[len(name) + 1 :] for path in paths if f"{path}.".startswith(f"{name}.")]
    return [path for path in found if path] if found else None


def session(payment: Payment, url: str, expand: Sequence[str] = ()) -> Object:
    is_open = payment.status in ("pending", "failed")
    is_expired = payment.status in ("cancelled", "expired") and not payment.authorised
    expanded = inside(expand, "payment_intent")
    whole = intent(payment, expanded or ()) if was_tried(payment) else None
    return {
        "id": stripe_id("cs", payment.provider_ref),
        "object": "checkout.session",
        "status": "open" if is_open else "expired" if is_expired else "complete",
        "payment_status": "paid" if payment.captured else "unpaid",
        "amount_total": payment.amount * scale(payment.currency),
        "currency": payment.currency.lower(),
        "client_reference_id": payment.merchant_ref,
        "metadata": payment.metadata["session"],
        "mode": "payment",
        "payment_intent": whole if whole is None or expanded is not None else whole["id"],
        "url": url if is_open else None,
        "created": unix(payment.created_at),
    }


def intent(payment: Payment, expand: Sequence[str] = ()) -> Object:
    rate = scale(payment.currency)
    expanded = inside(expand, "latest_charge")
    whole = charge(payment, expanded or ()) if was_tried(payment) else None
    error = {
        "code": payment.failure_code,
        "decline_code": "generic_decline",
        "message": payment.failure_message,
    }
    return {
        "id": stripe_id("pi", payment.provider_ref),
        "object": "payment_intent",
        "status": _INTENT[payment.status],
        "amount": payment.amount * rate,
        "amount_received": payment.captured * rate,
        "amount_capturable": payment.authorised * rate if payment.status == "authorised" else 0,
        "capture_method": "automatic_async",
        "currency": payment.currency.lower(),
        "metadata": payment.metadata["intent"],
        "last_payment_error": error if payment.failure_code else None,
        "latest_charge": whole if whole is None or expanded is not None else whole["id"],
        "created": unix(payment.created_at),
    }


def charge(payment: Payment, expand: Sequence[str] = ()) -> Object:
    found: Object = {
        "id": stripe_id("ch", payment.provider_ref),
        "object": "charge",
        "amount": payment.amount * scale(payment.currency),
        "amount_refunded": payment.refunded * scale(payment.currency),
        "disputed": payment.dispute is not None,
        "metadata": payment.metadata["intent"],
        "payment_intent": stripe_id("pi", payment.provider_ref),
    }
    if inside(expand, "refunds") is not None:
        found["refunds"] = refunds(payment, 10)
    return found


def refunds(payment: Payment, limit: int) -> Object:
    """Newest first."""
    newest = [refund(payment, each) for each in reversed(payment.refunds)]
    return {"object": "list", "data": newest[:limit], "has_more": len(newest) > limit}


def refund(payment: Payment, one: Refund, expand: Sequence[str] = ()) -> Object:
    expanded = inside(expand, "payment_intent")
    ref = stripe_id("pi", payment.provider_ref)
    return {
        "id": stripe_id("re", one.provider_ref),
        "object": "refund",
        "amount": one.amount * scale(payment.currency),
        "currency": payment.currency.lower(),
        "status": one.status,
        "metadata": {"ordercast_ref": one.ref} if one.ref else {},
        "charge": stripe_id("ch", payment.provider_ref),
        "payment_intent": ref if expanded is None else intent(payment, expanded),
    }


def disputes(payment: Payment) -> list[Object]:
    if payment.dispute is None:
        return []
    amount = payment.disputed or payment.captured - payment.refunded
    return [
        {
            "id": stripe_id("du", payment.provider_ref),
            "object": "dispute",
            "amount": amount * scale(payment.currency),
            "currency": payment.currency.lower(),
            "status": _DISPUTE[payment.dispute],
            "metadata": {},
            "charge": stripe_id("ch", payment.provider_ref),
            "payment_intent": stripe_id("pi", payment.provider_ref),
        }
    ]


_DIRECT = {
    "payment.captured": ["payment_intent.succeeded"],
    "payment.failed": ["payment_intent.payment_failed"],
    "payment.processing": ["payment_intent.processing"],
    "payment.authorised": ["payment_intent.amount_capturable_updated"],
    "payment.cancelled": ["payment_intent.canceled"],
}
_CHECKOUT = {
    "payment.captured": ["checkout.session.completed", "payment_intent.succeeded"],
    "payment.failed": ["payment_intent.payment_failed"],
    "payment.processing": ["checkout.session.completed", "payment_intent.processing"],
    "payment.authorised": [
        "checkout.session.completed",
        "payment_intent.amount_capturable_updated",
    ],
    "payment.cancelled": ["checkout.session.expired"],
    "payment.expired": ["checkout.session.expired"],
}
_PARTS = {
    "refund.succeeded": ["charge.refunded"],
    "refund.pending": ["refund.created"],
    "refund.failed": ["refund.failed"],
    "dispute.opened": ["charge.dispute.created"],
    "dispute.won": ["charge.dispute.closed"],
    "dispute.lost": ["charge.dispute.closed"],
}


def _about(payment: Payment, kind: str, url: str) -> Object:
    if kind.startswith("checkout.session."):
        return session(payment, url)
    if kind.startswith("charge.dispute."):
        return disputes(payment)[0]
    if kind.startswith("refund."):
        return refund(payment, payment.refunds[-1])
    return charge(payment) if kind.startswith("charge.") else intent(payment)


class StripeEvents(Dialect):
    """How it calls back. Its API is in `stripe_api`."""

    name = "stripe"

    def tells(self, payment: Payment, event_type: str) -> list[str]:
        if told := _PARTS.get(event_type):
            return told
        return (_CHECKOUT if is_checkout(payment) else _DIRECT).get(event_type, [])

    def body(
        self, payment: Payment, told: Told, checkout_url: str, changes: dict[str, Any]
    ) -> bytes:
        changed = Payment.load({**payment.dump(), **changes})
        event = {
            "id": told.event_id,
            "object": "event",
            "type": told.type,
            "created": unix(payment.updated_at),
            "data": {"object": _about(changed, told.type, checkout_url)},
        }
        return json.dumps(event).encode()

    def headers(self, event_id: str, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        stamp = int(at.timestamp())
        signed = hmac.new(secret.encode(), b"%d.%s" % (stamp, body), hashlib.sha256).hexdigest()
        return {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": f"t={stamp},v1={signed},v0={'0' * 64}",
        }

    def is_taken(self, status: int, answer: bytes) -> bool:
        return 200 <= status < 300


def unix(instant: str) -> int:
    return int(datetime.fromisoformat(instant).timestamp())
