"""The part of Stripe's API that this project calls, over the sandbox's payments and with its faults."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orders.payments.sandbox.answering import answered, once
from orders.payments.sandbox.dialects import stripe as shape
from orders.payments.sandbox.faults import Script
from orders.payments.sandbox.http import Sandbox, body_of, guarded, json_response
from orders.payments.sandbox.payments import NotPossible, Payment, new_ref

Params = dict[str, Any]
MAX_LISTED = 1000  # of the newest payments; older ones are not listed
DECLINING = "pm_card_visa_chargeDeclined"


def refused(no: NotPossible) -> Response:
    """Stripe says 400 to all that makes no sense, and 402 where the bank says no."""
    kind = "idempotency_error" if no.code == "idempotency_key_reused" else "invalid_request_error"
    found: Params = {"type": kind, "message": str(no)}
    if no.code == "refund_exceeds_captured":
        found["param"] = "amount"
    elif no.status == 404:
        found["code"] = "resource_missing"
    else:
        found["code"] = no.code
    return json_response({"error": found}, 404 if no.status == 404 else 400)


def form(text: str) -> Params:
    """`a[b][0][c]=1` as nested dicts; lists stay dicts with their places as keys."""
    made: Params = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = re.findall(r"[^\[\]]+", name)
        place = made
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return made


def paths(params: Params) -> list[str]:
    return list(params.get("expand", {}).values())


async def _posted(request: Request) -> Params:
    return form((await body_of(request)).decode())


def _needed(params: Params, *names: str) -> Any:
    found: Any = params
    for name in names:
        if not isinstance(found, dict) or name not in found:
            raise NotPossible(
                f"Missing required param: {'.'.join(names)}.", code="parameter_missing"
            )
        found = found[name]
    return found


def _amount(text: str, currency: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1 or int(text) > 99_999_999:
        raise NotPossible(f"Invalid integer: {text}", code="parameter_invalid_integer")
    return int(text) // shape.scale(currency)


def _found(sandbox: Sandbox, ref: str) -> Payment:
    payment = sandbox.desk.store.payment(f"pay_{ref.partition('_')[2]}")
    if payment is None or payment.dialect != "stripe":
        raise NotPossible(f"No such object: '{ref}'", code="resource_missing", status=404)
    return payment


async def _created(
    request: Request, sandbox: Sandbox, params: Params, work: Callable[[], Response]
) -> Response:
    unique = once(request, sandbox, json.dumps(params, sort_keys=True), work)
    return await answered(sandbox, "create", _ref_in(params), unique, refused)


def _ref_in(params: Params) -> str:
    return str(params.get("metadata", {}).get("ordercast_ref") or new_ref("m"))


async def create_session(request: Request, sandbox: Sandbox) -> Response:
    params = await _posted(request)

    def work() -> Response:
        price = _needed(params, "line_items", "0", "price_data")
        currency = str(_needed(price, "currency")).upper()
        data = params.get("payment_intent_data", {})
        metadata = {"session": params.get("metadata", {}), "intent": data.get("metadata", {})}
        payment = Payment(
            merchant_ref=str(params.get("client_reference_id") or new_ref("m")),
            amount=_amount(_needed(price, "unit_amount"), currency),
            currency=currency,
            dialect="stripe",
            return_url=_needed(params, "success_url"),
            callback_url=sandbox.desk.store.address("stripe"),
            description=_needed(price, "product_data", "name"),
            metadata=metadata,
        )
        made = sandbox.desk.create(payment, Script(), confirm=False)
        return json_response(shape.session(made, sandbox.desk.checkout_url(made), paths(params)))

    return await _created(request, sandbox, params, work)


async def create_intent(request: Request, sandbox: Sandbox) -> Response:
    params = await _posted(request)

    def work() -> Response:
        currency = str(_needed(params, "currency")).upper()
        is_declined = _needed(params, "payment_method") == DECLINING
        payment = Payment(
            merchant_ref=_ref_in(params),
            amount=_amount(_needed(params, "amount"), currency),
            currency=currency,
            dialect="stripe",
            callback_url=sandbox.desk.store.address("stripe"),
            metadata={"intent": params.get("metadata", {})},
        )
        script = Script(outcome="declined" if is_declined else "paid")
        made = sandbox.desk.create(payment, script, confirm=params.get("confirm") == "true")
        found = shape.intent(made, paths(params))
        return _declined(found) if made.status == "failed" else json_response(found)

    return await _created(request, sandbox, params, work)


def _declined(found: Params) -> Response:
    error = {"type": "card_error", **found["last_payment_error"], "payment_intent": found}
    return json_response({"error": error}, 402)


async def create_refund(request: Request, sandbox: Sandbox) -> Response:
    params = await _posted(request)
    payment = _found(sandbox, _needed(params, "payment_intent"))

    def work() -> Response:
        amount = _amount(params["amount"], payment.currency) if "amount" in params else None
        ours = params.get("metadata", {}).get("ordercast_ref")
        done = sandbox.desk.refund(payment.provider_ref, amount, our_ref=ours)
        return json_response(shape.refund(done, done.refunds[-1], paths(params)))

    unique = once(request, sandbox, json.dumps(params, sort_keys=True), work)
    return await answered(sandbox, "refund", payment.merchant_ref, unique, refused)


async def cancel(request: Request, sandbox: Sandbox) -> Response:
    """A session is called off by letting it expire, and an intent of one only while it holds money."""
    params = await _posted(request)
    payment = _found(sandbox, request.path_params["ref"])
    is_session = request.url.path.endswith("/expire")

    def work() -> Response:
        is_open = payment.status in ("pending", "failed")
        if is_session != (shape.is_checkout(payment) and is_open):
            raise NotPossible(f"It is {payment.status}, and not to be called off this way.")
        if payment.status == "cancelled":
            raise NotPossible("It is canceled already.", code="payment_intent_unexpected_state")
        done = sandbox.desk.act(payment.provider_ref, "cancel")
        url = sandbox.desk.checkout_url(done)
        found = shape.session(done, url, paths(params)) if is_session else None
        return json_response(found or shape.intent(done, paths(params)))

    return await answered(sandbox, "cancel", payment.merchant_ref, work, refused)


View = Callable[[Sandbox, Payment, Sequence[str]], Params]


def _session(sandbox: Sandbox, payment: Payment, expand: Sequence[str]) -> Params:
    return shape.session(payment, sandbox.desk.checkout_url(payment), expand)


def _intent(_sandbox: Sandbox, payment: Payment, expand: Sequence[str]) -> Params:
    return shape.intent(payment, expand)


Handler = Callable[[Request, Sandbox], Awaitable[Response]]


def _retrieve(view: View) -> Handler:
    async def retrieve(request: Request, sandbox: Sandbox) -> Response:
        params = form(request.url.query)
        ref = request.path_params["ref"]
        payment = sandbox.desk.store.payment(f"pay_{ref.partition('_')[2]}")

        def work() -> Response:
            return json_response(view(sandbox, _found(sandbox, ref), paths(params)))

        subject = payment.merchant_ref if payment else ref
        return await answered(sandbox, "fetch", subject, work, refused)

    return retrieve


def _list(view: View, belongs: Callable[[Payment], bool]) -> Handler:
    """Newest first; `payment_intent` and `query` narrow it to one payment."""

    async def listed(request: Request, sandbox: Sandbox) -> Response:
        params = form(request.url.query)

        def work() -> Response:
            expand = shape.inside(paths(params), "data") or []
            newest = sandbox.desk.store.newest_payments(MAX_LISTED)
            ours = [
                p for p in newest if p.dialect == "stripe" and belongs(p) and _is_asked(p, params)
            ]
            found = [view(sandbox, payment, expand) for payment in ours]
            return json_response(_page(found, params, request.url.path))

        return await answered(sandbox, "fetch", "", work, refused)

    return listed


def _is_asked(payment: Payment, params: Params) -> bool:
    after = int(params.get("created", {}).get("gt", 0))
    if shape.unix(payment.created_at) <= after:
        return False
    if ref := params.get("payment_intent"):
        return shape.was_tried(payment) and ref == shape.stripe_id("pi", payment.provider_ref)
    if query := params.get("query"):
        found = re.fullmatch(r"metadata\['(\w+)'\]:'([\w-]*)'", query, re.ASCII)
        return found is not None and payment.metadata["intent"].get(found[1]) == found[2]
    return True


def _page(found: list[Params], params: Params, url: str) -> Params:
    """`url` is where the SDK asks for the next page."""
    if after := params.get("starting_after"):
        ids = [each["id"] for each in found]
        found = found[ids.index(after) + 1 :] if after in ids else []
    limit = int(params.get("limit", 10))
    has_more = len(found) > limit
    return {"object": "list", "url": url, "data": found[:limit], "has_more": has_more}


def _parts(of: Callable[[Payment], list[Params]]) -> Handler:
    async def listed(request: Request, sandbox: Sandbox) -> Response:
        params = form(request.url.query)
        payment = _found(sandbox, _needed(params, "payment_intent"))
        work = lambda: json_response(_page(of(payment), params, request.url.path))  # noqa: E731
        return await answered(sandbox, "fetch", payment.merchant_ref, work, refused)

    return listed


async def add_endpoint(request: Request, sandbox: Sandbox) -> Response:
    """One for the account; another takes its place."""
    url = str(_needed(await _posted(request), "url"))
    sandbox.desk.store.set_address("stripe", url)
    return json_response({"id": "we_sandbox", "object": "webhook_endpoint", "url": url})


def _guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request, sandbox: Sandbox) -> Response:
        try:
            return await handler(request, sandbox)
        except NotPossible as no:
            return refused(no)

    return guarded(endpoint)


def _is_tried_or_direct(payment: Payment) -> bool:
    return shape.was_tried(payment) or not shape.is_checkout(payment)


def _route(method: str, path: str, handler: Handler) -> Route:
    return Route(f"/v1/{path}", _guarded(handler), methods=[method])


class Stripe(shape.StripeEvents):
    routes: Sequence[BaseRoute] = [
        _route("POST", "checkout/sessions", create_session),
        _route("GET", "checkout/sessions", _list(_session, shape.is_checkout)),
        _route("GET", "checkout/sessions/{ref}", _retrieve(_session)),
        _route("POST", "checkout/sessions/{ref}/expire", cancel),
        _route("POST", "payment_intents", create_intent),
        _route("GET", "payment_intents", _list(_intent, _is_tried_or_direct)),
        _route("GET", "payment_intents/search", _list(_intent, _is_tried_or_direct)),
        _route("GET", "payment_intents/{ref}", _retrieve(_intent)),
        _route("POST", "payment_intents/{ref}/cancel", cancel),
        _route("POST", "refunds", create_refund),
        _route("GET", "refunds", _parts(lambda payment: shape.refunds(payment, 1000)["data"])),
        _route("GET", "disputes", _parts(shape.disputes)),
        _route("POST", "webhook_endpoints", add_endpoint),
    ]
