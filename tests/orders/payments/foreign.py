"""A provider for `foreign_dialect`: all that such a payment system asks fits in one file and one registry line."""

import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from orders.payments.base import (
    Ack,
    AckOutcome,
    AmbiguousOutcome,
    BadSignature,
    CancelPayment,
    Capabilities,
    CreatePayment,
    DisputeStatus,
    Malformed,
    NotFound,
    PaymentStatus,
    Provider,
    ProviderError,
    ProviderEvent,
    RateLimited,
    RefundPayment,
    RefundSnapshot,
    RefundStatus,
    RequestRefused,
    Snapshot,
    Unavailable,
)
from orders.payments.money import major, minor
from orders.payments.signatures import retry_after
from orders.payments.transport import NEVER_SENT, Transport

TOLERANCE = timedelta(minutes=5)
STATUSES = {
    "NOTPAY": PaymentStatus.PENDING,
    "USERPAYING": PaymentStatus.PROCESSING,
    "HELD": PaymentStatus.AUTHORISED,
    "SUCCESS": PaymentStatus.CAPTURED,
    "PAYERROR": PaymentStatus.FAILED,
    "REVOKED": PaymentStatus.CANCELLED,
    "CLOSED": PaymentStatus.EXPIRED,
}


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True)


class _Refund(_Shape):
    out_refund_no: str | None
    refund_id: str
    amount: str
    state: str


class _Trade(_Shape):
    trade_no: str
    out_trade_no: str
    trade_state: str
    currency: str
    total: str
    held: str
    paid: str
    refunds: list[_Refund]
    complaint: str
    complaint_amount: str
    err_code: str
    pay_url: str

    def snapshot(self) -> Snapshot:
        """Raises `ValueError`."""
        return Snapshot(
            merchant_ref=self.out_trade_no,
            provider_ref=self.trade_no,
            status=STATUSES[self.trade_state] if self.trade_state in STATUSES else _unknown(self),
            amount=minor(self.total, self.currency),
            currency=self.currency,
            authorised=minor(self.held, self.currency),
            captured=minor(self.paid, self.currency),
            refunds=tuple(
                RefundSnapshot(
                    ref=refund.out_refund_no,
                    provider_ref=refund.refund_id,
                    amount=minor(refund.amount, self.currency),
                    status=RefundStatus(refund.state.lower()),
                )
                for refund in self.refunds
            ),
            dispute=DisputeStatus(self.complaint.lower()) if self.complaint else None,
            disputed=minor(self.complaint_amount, self.currency),
            failure_code=self.err_code,
            checkout_url=self.pay_url,
        )


def _unknown(trade: _Trade) -> PaymentStatus:
    raise ValueError(f"a trade is {trade.trade_state[:40]!r}")


class _Item(_Shape):
    id: str
    kind: str
    nonce: str
    ciphertext: str
    signature: str


class _Batch(_Shape):
    sent_at: AwareDatetime
    items: list[_Item]


class Far(Provider):
    name = "far"
    capabilities = Capabilities(synchronous=True, refund=True, partial_refund=True)

    def __init__(self, url: str, key: str, secrets: Sequence[str], timeout: float) -> None:
        self._secrets = list(secrets)
        headers = {"Authorization": f"Bearer {key}"}
        self._http = Transport(timeout, base_url=f"{url}/far/v3", headers=headers)

    def close(self) -> None:
        self._http.close()

    def create(self, request: CreatePayment) -> Snapshot:
        body = {
            "out_trade_no": request.merchant_ref,
            "total": major(request.amount, request.currency),
            "currency": request.currency,
            "notify_url": request.callback_url,
            "at_once": request.confirm,
            "attach": dict(request.metadata),
        }
        return self._write("trades", body, request.merchant_ref)

    def fetch(self, merchant_ref: str, provider_ref: str | None) -> Snapshot:
        params = {"trade_no": provider_ref} if provider_ref else {"out_trade_no": merchant_ref}
        return self._call("GET", "trades", Unavailable, params=params)

    def refund(self, request: RefundPayment) -> Snapshot:
        trade = self.fetch(request.merchant_ref, request.provider_ref or None)
        amount = major(request.amount, trade.currency)
        body = {"out_refund_no": request.ref, "amount": amount}
        return self._write(
            f"trades/{quote(trade.provider_ref, safe='')}/refunds", body, request.ref
        )

    def cancel(self, request: CancelPayment) -> Snapshot:
        ref = quote(request.provider_ref or request.merchant_ref, safe="")
        return self._write(f"trades/{ref}/revoke", {}, f"{request.merchant_ref}-cancel")

    def _write(self, path: str, body: dict[str, Any], key: str) -> Snapshot:
        headers = {"Idempotency-Key": key}
        return self._call("POST", path, AmbiguousOutcome, json=body, headers=headers)

    def _call(
        self, method: str, path: str, unknown: type[ProviderError], **options: Any
    ) -> Snapshot:
        try:
            answer, body = self._http.send(method, path, **options)
        except NEVER_SENT as wrong:
            raise Unavailable(str(wrong)) from wrong
        except httpx.RequestError as wrong:
            raise unknown(str(wrong)) from wrong
        _refuse(answer, body, unknown)
        try:
            return _Trade.model_validate(from_json(body)["trade"]).snapshot()
        except (ValueError, KeyError, TypeError) as wrong:
            raise unknown(f"HTTP {answer.status_code}, but not a trade") from wrong

    def parse_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderEvent]:
        secret = self._signer({name.lower(): value for name, value in headers.items()}, body, now)
        try:
            batch = _Batch.model_validate_json(body)
            return [_opened(item, batch.sent_at, secret) for item in batch.items]
        except (ValidationError, ValueError, InvalidTag) as wrong:
            raise Malformed(f"signed, but not to be understood: {type(wrong).__name__}") from None

    def _signer(self, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
        stamp, nonce = headers.get("far-timestamp", ""), headers.get("far-nonce", "")
        if not re.fullmatch("[0-9]{1,10}", stamp, re.ASCII):
            raise BadSignature("no time")
        if abs(now - datetime.fromtimestamp(int(stamp), UTC)) > TOLERANCE:
            raise BadSignature("another time")
        said = headers.get("far-signature", "").encode()
        text = b"%s\n%s\n%s\n" % (stamp.encode(), nonce.encode(), body)
        for secret in self._secrets:
            if hmac.compare_digest(
                hmac.new(secret.encode(), text, "sha256").hexdigest().encode(), said
            ):
                return secret
        raise BadSignature("no secret signed it")

    def ack(self, outcome: AckOutcome) -> Ack:
        match outcome:
            case AckOutcome.ACCEPTED:
                return Ack(status=202, body=b"success")
            case AckOutcome.TRY_AGAIN:
                return Ack(status=503, body=b"fail")
            case AckOutcome.BAD_SIGNATURE | AckOutcome.MALFORMED:
                return Ack(status=400, body=b"fail")


def _opened(item: _Item, sent_at: datetime, secret: str) -> ProviderEvent:
    ciphertext = b64decode(item.ciphertext, validate=True)
    own = hmac.new(secret.encode(), item.id.encode() + ciphertext, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(own.encode(), item.signature.encode()):
        raise BadSignature(f"item {item.id[:40]!r} is not signed")
    key = hashlib.sha256(secret.encode()).digest()
    plain = AESGCM(key).decrypt(b64decode(item.nonce, validate=True), ciphertext, item.id.encode())
    return ProviderEvent(
        event_id=item.id,
        kind=item.kind,
        snapshot=_Trade.model_validate_json(plain).snapshot(),
        occurred_at=sent_at,
    )


def _refuse(answer: httpx.Response, body: bytes, unknown: type[ProviderError]) -> None:
    """By the status alone, whatever the body says."""
    status = answer.status_code
    wait = retry_after(answer.headers.get("retry-after"))
    if status == 404:
        raise NotFound("no such trade")
    if status == 429:
        raise RateLimited("too many", retry_after=wait)
    if status == 503:
        raise Unavailable("away", retry_after=wait)
    if status >= 500:
        raise unknown(f"HTTP {status}")
    if status >= 400:
        raise RequestRefused(f"HTTP {status}", code=_reason(body))


def _reason(body: bytes) -> str:
    try:
        return str(from_json(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return "refused"
