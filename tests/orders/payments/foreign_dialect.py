"""A payment system that does three things otherwise, as Alipay, WeChat Pay v3 and Adyen do; for `--dialect`.

The answer to a callback must be exactly `success`, with 200 or 202. The body of a callback is signed in headers of its
own, and each of its items is encrypted and signed in itself. Amounts are in major units, as text. And an answer's
status beats its body, which may say SUCCESS on an error page.
"""

import hashlib
import hmac
import json
import os
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders.payments.sandbox.answering import answered, once
from orders.payments.sandbox.dialects import Dialect, Told
from orders.payments.sandbox.faults import Script
from orders.payments.sandbox.http import Sandbox, body_of, guarded, json_response
from orders.payments.sandbox.money import written
from orders.payments.sandbox.payments import NotPossible, Payment

STATES = {
    "pending": "NOTPAY",
    "processing": "USERPAYING",
    "authorised": "HELD",
    "captured": "SUCCESS",
    "failed": "PAYERROR",
    "cancelled": "REVOKED",
    "expired": "CLOSED",
}


def text(amount: int, currency: str) -> str:
    return written(amount, currency).split()[0].replace(",", "")


def trade(payment: Payment, pay_url: str) -> dict[str, Any]:
    return {
        "trade_no": payment.provider_ref,
        "out_trade_no": payment.merchant_ref,
        "trade_state": STATES[payment.status],
        "currency": payment.currency,
        "total": text(payment.amount, payment.currency),
        "held": text(payment.authorised, payment.currency),
        "paid": text(payment.captured, payment.currency),
        "refunds": [
            {
                "out_refund_no": refund.ref,
                "refund_id": refund.provider_ref,
                "amount": text(refund.amount, payment.currency),
                "state": refund.status.upper(),
            }
            for refund in payment.refunds
        ],
        "complaint": (payment.dispute or "").upper(),
        "complaint_amount": text(payment.disputed, payment.currency),
        "err_code": payment.failure_code,
        "pay_url": pay_url,
    }


def sealed(item_id: str, kind: str, data: dict[str, Any], secret: str) -> dict[str, Any]:
    """An item that only we can read, and nobody can change."""
    nonce = os.urandom(12)
    key = hashlib.sha256(secret.encode()).digest()
    ciphertext = AESGCM(key).encrypt(nonce, json.dumps(data).encode(), item_id.encode())
    signature = hmac.new(secret.encode(), item_id.encode() + ciphertext, hashlib.sha256)
    return {
        "id": item_id,
        "kind": kind,
        "nonce": b64encode(nonce).decode(),
        "ciphertext": b64encode(ciphertext).decode(),
        "signature": signature.hexdigest(),
    }


def signature(stamp: int, nonce: str, body: bytes, secret: str) -> str:
    return hmac.new(
        secret.encode(), b"%d\n%s\n%s\n" % (stamp, nonce.encode(), body), "sha256"
    ).hexdigest()


class Far(Dialect):
    name = "far"

    def __init__(self) -> None:
        self.routes = [
            _route("POST", "", create),
            _route("GET", "", fetch),
            _route("POST", "/{ref}/refunds", refund),
            _route("POST", "/{ref}/revoke", revoke),
        ]
        # It seals with a secret that it has anyway; a sandbox has one for all its dialects.
        self._secret = os.environ.get("FAR_SECRET", "")

    def tells(self, _payment: Payment, event_type: str) -> list[str]:
        return [event_type]

    def body(
        self, payment: Payment, told: Told, checkout_url: str, changes: dict[str, Any]
    ) -> bytes:
        data = trade(Payment.load({**payment.dump(), **changes}), checkout_url)
        items = [sealed(f"{told.event_id}-1", told.type, data, self._secret)]
        if told.type.startswith("refund."):
            items.append(sealed(f"{told.event_id}-2", "account.changed", data, self._secret))
        at = datetime.fromisoformat(payment.updated_at).isoformat()
        return json.dumps({"sent_at": at, "items": items}).encode()

    def headers(self, event_id: str, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        stamp = int(at.timestamp())
        return {
            "content-type": "application/json",
            "far-timestamp": str(stamp),
            "far-nonce": event_id,
            "far-signature": signature(stamp, event_id, body, secret),
        }

    def is_taken(self, status: int, answer: bytes) -> bool:
        return status in (200, 202) and answer == b"success"


def refused(no: NotPossible) -> Response:
    # The word in the body is wrong on purpose: the status is what counts.
    return json_response({"result": "SUCCESS", "reason": no.code}, no.status)


def _shown(sandbox: Sandbox, payment: Payment) -> Response:
    return json_response(
        {"result": "SUCCESS", "trade": trade(payment, sandbox.desk.checkout_url(payment))}
    )


def _minor(amount: str) -> int:
    return int(amount.replace(".", ""))


async def create(request: Request, sandbox: Sandbox) -> Response:
    raw = await body_of(request)
    asked = json.loads(raw)

    def work() -> Response:
        payment = Payment(
            merchant_ref=asked["out_trade_no"],
            amount=_minor(asked["total"]),
            currency=asked["currency"],
            dialect="far",
            callback_url=asked["notify_url"],
        )
        script = Script.model_validate(asked["attach"].get("sandbox") or {})
        return _shown(sandbox, sandbox.desk.create(payment, script, confirm=asked["at_once"]))

    unique = once(request, sandbox, raw.decode(), work)
    return await answered(sandbox, "create", asked["out_trade_no"], unique, refused)


async def fetch(request: Request, sandbox: Sandbox) -> Response:
    ref = request.query_params.get("trade_no") or request.query_params["out_trade_no"]

    def work() -> Response:
        return _shown(sandbox, sandbox.desk.find(ref))

    return await answered(sandbox, "fetch", ref, work, refused)


async def refund(request: Request, sandbox: Sandbox) -> Response:
    raw = await body_of(request)
    asked = json.loads(raw)
    ref = request.path_params["ref"]

    def work() -> Response:
        amount = _minor(asked["amount"])
        return _shown(sandbox, sandbox.desk.refund(ref, amount, our_ref=asked["out_refund_no"]))

    unique = once(request, sandbox, raw.decode(), work)
    return await answered(sandbox, "refund", ref, unique, refused)


async def revoke(request: Request, sandbox: Sandbox) -> Response:
    ref = request.path_params["ref"]

    def work() -> Response:
        return _shown(sandbox, sandbox.desk.act(ref, "cancel"))

    return await answered(sandbox, "cancel", ref, work, refused)


def _route(
    method: str, path: str, handler: Callable[[Request, Sandbox], Awaitable[Response]]
) -> Route:
    return Route(f"/far/v3/trades{path}", guarded(handler), methods=[method])
