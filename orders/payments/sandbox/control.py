"""The sandbox's control API under /control: set faults, let things happen, send crafted callbacks, look inside."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders.payments.sandbox.dialects import Told
from orders.payments.sandbox.faults import Copy, Fault
from orders.payments.sandbox.http import Sandbox, as_json, body_of, guarded, json_response, parsed
from orders.payments.sandbox.payments import NotPossible, Payment, new_ref
from orders.payments.sandbox.store import GLOBAL, Delivery


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaultsBody(_Body):
    faults: tuple[Fault, ...] = ()


class ActBody(_Body):
    action: str
    amount: int | None = None


class CallbackBody(_Body):
    """A callback that the payment's history does not justify, or no longer does.

    `replay` sends an earlier event again, body and id as they were: an older state, or the same twice. Without
    it the present state is told, as a new event, with `changes` written over its data. `is_forged` signs with a
    wrong secret. A crafted callback is sent once, unless `is_once` is false.
    """

    type: str | None = None
    event_id: str | None = None
    replay: str | None = None
    changes: dict[str, Any] = {}
    is_forged: bool = False
    is_truncated: bool = False
    is_garbled: bool = False
    is_once: bool = True
    delay: float = 0.0

    @property
    def manner(self) -> str:
        manners = {
            "forged": self.is_forged,
            "truncated": self.is_truncated,
            "garbled": self.is_garbled,
        }
        return next((name for name, is_so in manners.items() if is_so), "true")


async def get_faults(_request: Request, sandbox: Sandbox) -> Response:
    return _faults(sandbox, GLOBAL)


async def put_faults(request: Request, sandbox: Sandbox) -> Response:
    sandbox.desk.store.set_faults(GLOBAL, parsed(FaultsBody, await body_of(request)).faults)
    return _faults(sandbox, GLOBAL)


async def get_payment_faults(request: Request, sandbox: Sandbox) -> Response:
    return _faults(sandbox, _subject(request, sandbox))


async def put_payment_faults(request: Request, sandbox: Sandbox) -> Response:
    body = parsed(FaultsBody, await body_of(request))
    subject = _subject(request, sandbox)
    sandbox.desk.store.set_faults(subject, body.faults)
    return _faults(sandbox, subject)


def _subject(request: Request, sandbox: Sandbox) -> str:
    return sandbox.desk.find(request.path_params["ref"]).merchant_ref


def _faults(sandbox: Sandbox, subject: str) -> Response:
    return json_response({"faults": [as_json(fault) for fault in sandbox.desk.faults(subject)]})


async def act(request: Request, sandbox: Sandbox) -> Response:
    body = parsed(ActBody, await body_of(request))
    payment = sandbox.desk.find(request.path_params["ref"])
    done = sandbox.desk.act(payment.provider_ref, body.action, body.amount)
    return json_response(sandbox.desk.view(done))


async def send_callback(request: Request, sandbox: Sandbox) -> Response:
    body = parsed(CallbackBody, await body_of(request))
    payment = sandbox.desk.find(request.path_params["ref"])
    event_id, event_type, content = _content(sandbox, payment, body)
    copy = Copy(manner=body.manner, delay=body.delay)
    sandbox.desk.send(payment, event_type, content, copy, event_id=event_id, is_once=body.is_once)
    return json_response({"event_id": event_id, "type": event_type}, 202)


def _content(sandbox: Sandbox, payment: Payment, body: CallbackBody) -> tuple[str, str, bytes]:
    """The crafted callback's event id, type and bytes."""
    if body.replay is None:
        event_type = body.type or f"payment.{payment.status}"
        event_id = body.event_id or new_ref("evt")
        told = Told(event_id, event_type)
        return event_id, event_type, sandbox.desk.body(payment, told, body.changes)
    for delivery in sandbox.desk.store.deliveries_of(payment.provider_ref):
        if delivery.event_id == body.replay:
            return body.event_id or delivery.event_id, delivery.type, delivery.body
    raise NotPossible(f"there was no event {body.replay!r}", code="not_found", status=404)


async def get_callbacks(request: Request, sandbox: Sandbox) -> Response:
    payment = sandbox.desk.find(request.path_params["ref"])
    deliveries = sandbox.desk.store.deliveries_of(payment.provider_ref)
    return json_response({"deliveries": [delivery_view(sandbox, d) for d in deliveries]})


def delivery_view(sandbox: Sandbox, delivery: Delivery) -> dict[str, Any]:
    """A delivery with each of its tries; the body as text."""
    return {
        **asdict(delivery),
        "body": delivery.body.decode(),
        "attempts": sandbox.desk.store.tries_of(delivery.id),
    }


async def get_calls(_request: Request, sandbox: Sandbox) -> Response:
    return json_response(sandbox.calls)


routes = [
    Route("/control/faults", guarded(get_faults), methods=["GET"]),
    Route("/control/faults", guarded(put_faults), methods=["PUT"]),
    Route("/control/payments/{ref}/faults", guarded(get_payment_faults), methods=["GET"]),
    Route("/control/payments/{ref}/faults", guarded(put_payment_faults), methods=["PUT"]),
    Route("/control/payments/{ref}/act", guarded(act), methods=["POST"]),
    Route("/control/payments/{ref}/callbacks", guarded(send_callback), methods=["POST"]),
    Route("/control/payments/{ref}/callbacks", guarded(get_callbacks), methods=["GET"]),
    Route("/control/calls", guarded(get_calls), methods=["GET"]),
]
