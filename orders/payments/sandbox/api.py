"""The sandbox's payment API under /v1: what a house payment system has to offer, with its faults."""

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders.payments.sandbox.answering import answered, count, once
from orders.payments.sandbox.faults import Script
from orders.payments.sandbox.http import (
    Sandbox,
    body_of,
    guarded,
    invalid,
    json_response,
    parsed,
)
from orders.payments.sandbox.payments import NotPossible, Payment, instant

_Ref = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00/]+$")]
_Url = Annotated[str, StringConstraints(max_length=2000, pattern=r"^(https?://[^\s\x00]+)?$")]
_Amount = Annotated[int, Field(gt=0, le=10**15)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class CreateBody(_Body):
    merchant_ref: _Ref
    amount: _Amount
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    return_url: _Url = ""
    callback_url: _Url = ""
    confirm: bool = False
    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    metadata: dict[str, Any] = {}


class RefundBody(_Body):
    ref: _Ref
    amount: _Amount
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""


class CancelBody(_Body):
    pass


async def create(request: Request, sandbox: Sandbox) -> Response:
    raw = await body_of(request)
    body = parsed(CreateBody, raw)
    script = _script(body.metadata)
    sandbox.desk.adopt(body.merchant_ref, script.all_faults)
    payment = Payment(**body.model_dump(exclude={"confirm"}))

    def work() -> Response:
        made = sandbox.desk.create(payment, script, confirm=body.confirm)
        return json_response(sandbox.desk.view(made), 201)

    return await answered(
        sandbox, "create", body.merchant_ref, once(request, sandbox, _canonical(raw), work)
    )


def _script(metadata: dict[str, Any]) -> Script:
    try:
        return Script.model_validate(metadata.get("sandbox") or {})
    except ValidationError as wrong:
        raise invalid(wrong) from None


async def refund(request: Request, sandbox: Sandbox) -> Response:
    raw = await body_of(request)
    body = parsed(RefundBody, raw)
    payment = sandbox.desk.find(request.path_params["ref"])

    def work() -> Response:
        ref = payment.provider_ref
        done = sandbox.desk.refund(ref, body.amount, our_ref=body.ref, reason=body.reason)
        return json_response(sandbox.desk.view(done), 201)

    return await answered(
        sandbox, "refund", payment.merchant_ref, once(request, sandbox, _canonical(raw), work)
    )


async def cancel(request: Request, sandbox: Sandbox) -> Response:
    raw = await body_of(request)
    parsed(CancelBody, raw)
    payment = sandbox.desk.find(request.path_params["ref"])

    def work() -> Response:
        return json_response(sandbox.desk.view(sandbox.desk.act(payment.provider_ref, "cancel")))

    return await answered(
        sandbox, "cancel", payment.merchant_ref, once(request, sandbox, _canonical(raw), work)
    )


async def fetch(request: Request, sandbox: Sandbox) -> Response:
    return await _fetched(sandbox, request.path_params["ref"])


async def find_or_list(request: Request, sandbox: Sandbox) -> Response:
    if merchant_ref := request.query_params.get("merchant_ref"):
        return await _fetched(sandbox, merchant_ref)
    count(sandbox, "list")
    limit, after = _page(request)
    payments = sandbox.desk.store.payments_after(after, limit + 1)
    return json_response(
        {
            "payments": [sandbox.desk.view(payment) for payment in payments[:limit]],
            "has_more": len(payments) > limit,
        }
    )


def _page(request: Request) -> tuple[int, str]:
    try:
        limit = int(request.query_params.get("limit", "100"))
        given = request.query_params.get("created_after", "1970-01-01T00:00:00Z")
        after = instant(datetime.fromisoformat(given).astimezone())
    except (ValueError, OverflowError):
        text = "limit is a number, created_after an ISO 8601 instant with its zone"
        raise NotPossible(text, code="invalid_request", status=422) from None
    return min(max(limit, 1), 500), after


async def _fetched(sandbox: Sandbox, ref: str) -> Response:
    # A payment that is not there meets the global faults: an outage knows no payments.
    payment = sandbox.desk.store.payment(ref)
    merchant_ref = payment.merchant_ref if payment else ref
    return await answered(
        sandbox,
        "fetch",
        merchant_ref,
        lambda: json_response(sandbox.desk.view(sandbox.desk.find(ref))),
    )


def _canonical(raw: bytes) -> str:
    """Equal as JSON, so that white space and the order of keys make no difference."""
    return json.dumps(json.loads(raw or b"{}"), sort_keys=True)


routes = [
    Route("/v1/payments", guarded(create), methods=["POST"]),
    Route("/v1/payments", guarded(find_or_list), methods=["GET"]),
    Route("/v1/payments/{ref}", guarded(fetch), methods=["GET"]),
    Route("/v1/payments/{ref}/refunds", guarded(refund), methods=["POST"]),
    Route("/v1/payments/{ref}/cancel", guarded(cancel), methods=["POST"]),
]
