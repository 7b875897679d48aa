"""How any call to the sandbox is answered, whatever the dialect: once for each key, and with its faults."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from orders.payments.sandbox.faults import ANSWER_KINDS, Call, Fault
from orders.payments.sandbox.http import Cut, Sandbox, error
from orders.payments.sandbox.payments import NotPossible

Work = Callable[[], Response]
Refusal = Callable[[NotPossible], Response]


def refusal(no: NotPossible) -> Response:
    return error(no.status, no.code, str(no))


def once(request: Request, sandbox: Sandbox, canonical: str, work: Work) -> Work:
    """Honour Idempotency-Key: the same key and body get the same answer, another body `idempotency_key_reused`.

    `canonical` is the body without what makes no difference, such as white space.
    """
    key = request.headers.get("idempotency-key")
    if not key:
        return work
    scope = request.url.path
    digest = hashlib.sha256(canonical.encode()).hexdigest()

    def worked_once() -> Response:
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
            raise NotPossible(text, code="idempotency_key_reused", status=422)
        return Response(body, status, media_type="application/json")

    return worked_once


async def answered(
    sandbox: Sandbox, call: Call, merchant_ref: str, work: Work, refused: Refusal = refusal
) -> Response:
    """Work, and answer as the faults will have it. The work of a slow or cut answer is done all the same."""
    count(sandbox, call)
    faults: dict[str, Fault] = {
        fault.fault: fault for fault in sandbox.desk.take(merchant_ref, ANSWER_KINDS, call)
    }
    if instead := _before_work(faults):
        return instead
    response = _worked(work, refused)
    if slow := faults.get("answer_slow"):
        await asyncio.sleep(slow.seconds)
    if "connection_cut" in faults:
        return Cut()
    if "answer_500" in faults:
        return error(500, "internal", "on purpose, after the work")
    if "answer_garbled" in faults:
        return Response("<html>It works!</html>", 200, media_type="text/html")
    return response


def _worked(work: Work, refused: Refusal) -> Response:
    # A refusal is an answer too: it can be slow, or cut.
    try:
        return work()
    except NotPossible as no:
        return refused(no)


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


def count(sandbox: Sandbox, kind: str) -> None:
    sandbox.calls[kind] = sandbox.calls.get(kind, 0) + 1
