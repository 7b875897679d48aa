"""The house provider: a company's own payment system, spoken to over HTTP, calling back by Standard Webhooks.

What such a system has to offer is written down in `docs/sandbox.md`; the sandbox is one. A request that was sent
and got no sensible answer is never taken for done or for failed: it ends as `AmbiguousOutcome`, and the same call
with the same key, or a fetch, tells.
"""

from codecs import BOM_UTF8
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from orders.payments.base import (
    Ack,
    AckOutcome,
    AmbiguousOutcome,
    CancelPayment,
    Capabilities,
    CreatePayment,
    DisputeStatus,
    Listed,
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
from orders.payments.signatures import Signatures, retry_after
from orders.payments.transport import NEVER_SENT, Transport

PAGE = 200  # payments of a list at once
IN_PROGRESS = "idempotency_key_in_use"  # another call with the same key is being worked on

# Texts are bounded as the tables are, and PostgreSQL takes no NUL.
_Amount = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Ref = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
_Code = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")]
_Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Refund(_Answer):
    ref: _Ref | None
    provider_ref: _Ref
    amount: _Amount
    status: RefundStatus


class _Payment(_Answer):
    merchant_ref: _Ref
    provider_ref: _Ref
    status: PaymentStatus
    amount: _Amount
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    authorised: _Amount = 0
    captured: _Amount = 0
    refunds: tuple[_Refund, ...] = ()
    disputed: _Amount = 0
    dispute: DisputeStatus | None = None
    failure_code: _Code = ""
    failure_message: _Text = ""
    checkout_url: _Text = ""
    is_offline: bool = False
    hold_ends_at: AwareDatetime | None = None


class _ListedPayment(_Payment):
    created_at: AwareDatetime


class _List(_Answer):
    payments: tuple[_ListedPayment, ...]
    has_more: bool


class _Callback(_Answer):
    type: _Code
    occurred_at: AwareDatetime | None = None
    data: _Payment


class House(Provider):
    """One account at a house payment system.

    `timeout` is in seconds, for each phase of a call (connect, write, wait, read) and for a dripping answer as a
    whole. Raises `ValueError` if a webhook secret is none.
    """

    name = "house"
    capabilities = Capabilities(synchronous=True, refund=True, partial_refund=True)
    checkout_schemes = frozenset(
        {"https", "http", "upi", "weixin", "alipays"}
    )  # and what phones pay with

    def __init__(self, url: str, key: str, webhook_secrets: list[str], timeout: float) -> None:
        self._signatures = Signatures(webhook_secrets)
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self._http = Transport(timeout, base_url=f"{url.rstrip('/')}/v1/", headers=headers)

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()

    def create(self, request: CreatePayment) -> Snapshot:
        body = {
            "merchant_ref": request.merchant_ref,
            "amount": request.amount,
            "currency": request.currency,
            "return_url": request.return_url,
            "callback_url": request.callback_url,
            "confirm": request.confirm,
            "description": request.description,
            "metadata": dict(request.metadata),
        }
        return self._write("payments", body, key=request.merchant_ref)

    def refund(self, request: RefundPayment) -> Snapshot:
        body = {"ref": request.ref, "amount": request.amount, "reason": request.reason}
        return self._write(f"payments/{_path_of(request)}/refunds", body, key=request.ref)

    def cancel(self, request: CancelPayment) -> Snapshot:
        # A key of its own: the bare reference is the create call's.
        key = f"{request.merchant_ref}-cancel"
        return self._write(f"payments/{_path_of(request)}/cancel", {}, key=key)

    def fetch(self, merchant_ref: str, provider_ref: str | None) -> Snapshot:
        if provider_ref:
            status, body = self._call(
                "GET", f"payments/{quote(provider_ref, safe='')}", Unavailable
            )
        else:
            status, body = self._call(
                "GET", "payments", Unavailable, params={"merchant_ref": merchant_ref}
            )
        return _parse_answer(status, body, Unavailable)

    def list_payments(self, created_after: datetime, cursor: str = "") -> Listed:
        """Oldest first. The cursor is the last payment's `created_at`, which no two payments share."""
        params = {"created_after": cursor or created_after.isoformat(), "limit": str(PAGE)}
        status, body = self._call("GET", "payments", Unavailable, params=params)
        return _parse_list(status, body)

    def parse_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderEvent]:
        event_id = self._signatures.verify(headers, body, now)
        return [self.reread(body, event_id)]

    def reread(self, body: bytes, event_id: str) -> ProviderEvent:
        """The id stands in a header, so it comes with the body."""
        body = body.removeprefix(BOM_UTF8)
        try:
            callback = _Callback.model_validate_json(body)
            raw = _raw(body)["data"]
        except ValueError as wrong:
            raise Malformed(f"signed, but not a callback: {_what(wrong)}") from None
        return ProviderEvent(
            event_id=event_id,
            kind=callback.type,
            snapshot=_snapshot(callback.data, raw),
            occurred_at=callback.occurred_at,
        )

    def ack(self, outcome: AckOutcome) -> Ack:
        match outcome:
            case AckOutcome.ACCEPTED:
                return Ack(status=200, body=b"ok")
            case AckOutcome.TRY_AGAIN:
                return Ack(status=503)
            case AckOutcome.BAD_SIGNATURE | AckOutcome.MALFORMED:
                return Ack(status=400)

    def _write(self, path: str, body: dict[str, Any], *, key: str) -> Snapshot:
        status, answer = self._call(
            "POST", path, AmbiguousOutcome, json=body, headers={"Idempotency-Key": key}
        )
        return _parse_answer(status, answer, AmbiguousOutcome)

    def _call(
        self, method: str, path: str, unknown: type[ProviderError], **options: Any
    ) -> tuple[int, bytes]:
        """Send and read. `unknown` is what it means if the request left and no answer came."""
        try:
            response, body = self._http.send(method, path, **options)
        except NEVER_SENT as wrong:
            raise Unavailable(f"{method} {path}: {wrong or type(wrong).__name__}") from wrong
        except httpx.RequestError as wrong:
            raise unknown(f"{method} {path}: {wrong or type(wrong).__name__}") from wrong
        _refuse(response, body, unknown)
        return response.status_code, body


def _path_of(request: RefundPayment | CancelPayment) -> str:
    return quote(request.provider_ref or request.merchant_ref, safe="")


def _refuse(response: httpx.Response, body: bytes, unknown: type[ProviderError]) -> None:
    """Raise what an answer that is no success means."""
    status = response.status_code
    text = f"{response.request.method} {response.request.url.path}: HTTP {status}"
    if status == 404:
        raise NotFound(text)
    if status == 429:
        raise RateLimited(text, retry_after=retry_after(response.headers.get("retry-after")))
    if status == 503:
        raise Unavailable(text, retry_after=retry_after(response.headers.get("retry-after")))
    # A gateway's 5xx, or its 408, says nothing about what stands behind it: a write may have been done.
    if status >= 500 or status == 408:
        raise unknown(text)
    if status >= 400:
        code, message = _error_of(body)
        if code == IN_PROGRESS:  # what comes of it is still to be seen
            raise unknown(f"{text}: {message}")
        raise RequestRefused(f"{text}: {message}", code=code)


def _error_of(body: bytes) -> tuple[str, str]:
    try:
        error = from_json(body)["error"]
        return str(error["code"])[:64], str(error["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return "refused", "(no reason given)"


def _parse_answer(status: int, body: bytes, unknown: type[ProviderError]) -> Snapshot:
    try:
        return _snapshot(_Payment.model_validate_json(body), _raw(body))
    except ValueError as wrong:
        raise unknown(f"HTTP {status}, but not a payment: {_what(wrong)}") from None


def _parse_list(status: int, body: bytes) -> Listed:
    try:
        page = _List.model_validate_json(body)
        raws = _raw(body)["payments"]
    except ValueError as wrong:
        raise Unavailable(f"HTTP {status}, but not a list: {_what(wrong)}") from None
    payments = tuple(_snapshot(p, raw) for p, raw in zip(page.payments, raws, strict=True))
    cursor = page.payments[-1].created_at.isoformat() if page.has_more and page.payments else ""
    return Listed(payments=payments, next_cursor=cursor)


def _raw(body: bytes) -> Any:
    # JSON's \u0000 is legal and PostgreSQL's jsonb refuses it.
    if b"\\u0000" in body:
        raise ValueError("it holds a NUL character")
    return from_json(body, allow_inf_nan=False)


def _what(wrong: ValueError) -> str:
    """Where the parsing stopped, without quoting what came: it may hold what no log should."""
    if not isinstance(wrong, ValidationError):
        return str(wrong)
    first = wrong.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"


def _snapshot(payment: _Payment, raw: Mapping[str, object]) -> Snapshot:
    fields = {name: getattr(payment, name) for name in _Payment.model_fields if name != "refunds"}
    refunds = tuple(RefundSnapshot(**refund.model_dump()) for refund in payment.refunds)
    return Snapshot(**fields, refunds=refunds, raw=raw)
