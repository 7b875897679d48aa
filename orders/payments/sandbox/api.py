"""The sandbox's payment API under /v1: what a house payment system has to offer, with its faults."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders.payments.sandbox.faults import ANSWER_KINDS, Call, Fault, Script
from orders.payments.sandbox.payments import NotPossible, Payment, instant
from orders.payments.sandbox.wire import (
    Cut,
    Sandbox,
    body_of,
    error,
    guarded,
    invalid,
    json_response,
    parsed,
)

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

    return await _answered(sandbox, "create", body.merchant_ref, _once(request, sandbox, raw, work))


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

    return await _answered(
        sandbox, "refund", payment.merchant_ref, _once(request, sandbox, raw, work)
    )


async def cancel(request: Request, sandbox: Sandbox) -> Response:
    raw = await body_of(request)
    parsed(CancelBody, raw)
    payment = sandbox.desk.find(request.path_params["ref"])

    def work() -> Response:
        return json_response(sandbox.desk.view(sandbox.desk.act(payment.provider_ref, "cancel")))

    return await _answered(
        sandbox, "cancel", payment.merchant_ref, _once(request, sandbox, raw, work)
    )


async def fetch(request: Request, sandbox: Sandbox) -> Response:
    return await _fetched(sandbox, request.path_params["ref"])


async def find_or_list(request: Request, sandbox: Sandbox) -> Response:
    if merchant_ref := request.query_params.get("merchant_ref"):
        return await _fetched(sandbox, merchant_ref)
    _count(sandbox, "list")
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
    return await _answered(
        sandbox,
        "fetch",
        merchant_ref,
        lambda: json_response(sandbox.desk.view(sandbox.desk.find(ref))),
    )


def _once(
    request: Request, sandbox: Sandbox, raw: bytes, work: Callable[[], Response]
) -> Callable[[], Response]:
    """Honour Idempotency-Key: the same key and body get the same answer, another body 422."""
    key = request.headers.get("idempotency-key")
    if not key:
        return work
    scope = request.url.path
    # Equal as JSON, so that white space and the order of keys make no difference.
    canonical = json.dumps(json.loads(raw or b"{}"), sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()

    def once() -> Response:
        with sandbox.desk.store.transaction():
            kept = sandbox.desk.store.answer(scope, key)
            if kept is None:
                done = work()
                sandbox.desk.store.keep_answer(
                    scope, key, digest, done.status_code, bytes(done.body)
                )
                return done
        request_digest, status, body = kept
        if request_digest != digest:
            text = "this Idempotency-Key was used before with another body"
            return error(422, "idempotency_key_reused", text)
        return Response(body, status, media_type="application/json")

    return once


async def _answered(
    sandbox: Sandbox, call: Call, merchant_ref: str, work: Callable[[], Response]
) -> Response:
    """Work, and answer as the faults will have it. The work of a slow or cut answer is done all the same."""
    _count(sandbox, call)
    faults: dict[str, Fault] = {
        fault.fault: fault for fault in sandbox.desk.take(merchant_ref, ANSWER_KINDS, call)
    }
    if refusal := _before_work(faults):
        return refusal
    response = _worked(work)
    if slow := faults.get("answer_slow"):
        await asyncio.sleep(slow.seconds)
    if "connection_cut" in faults:
        return Cut()
    if "answer_500" in faults:
        return error(500, "internal", "on purpose, after the work")
    if "answer_garbled" in faults:
        return Response("<html>It works!</html>", 200, media_type="text/html")
    return response


def _worked(work: Callable[[], Response]) -> Response:
    # A refusal is an answer too: it can be slow, or cut.
    try:
        return work()
    except NotPossible as no:
        return error(no.status, no.code, str(no))


def _before_work(faults: Mapping[str, Fault]) -> Response | None:
    """The answer of a system that does not even begin."""
    if limited := faults.get("answer_429"):
        return error(429, "rate_limited", "too many", **{"Retry-After": f"{limited.seconds:g}"})
    if away := faults.get("answer_503"):
        return error(503, "unavailable", "later", **{"Retry-After": f"{away.seconds:g}"})
    broken = faults.get("answer_500")
    if broken and not broken.after_work:
        return error(500, "internal", "on purpose, before the work")
    return None


def _count(sandbox: Sandbox, kind: str) -> None:
    sandbox.calls[kind] = sandbox.calls.get(kind, 0) + 1


routes = [
    Route("/v1/payments", guarded(create), methods=["POST"]),
    Route("/v1/payments", guarded(find_or_list), methods=["GET"]),
    Route("/v1/payments/{ref}", guarded(fetch), methods=["GET"]),
    Route("/v1/payments/{ref}/refunds", guarded(refund), methods=["POST"]),
    Route("/v1/payments/{ref}/cancel", guarded(cancel), methods=["POST"]),
]
