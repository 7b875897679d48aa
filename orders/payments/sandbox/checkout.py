"""The sandbox's pages: the checkout that a customer sees, and the console with all payments. Plain forms, no script.

Nobody logs in here: whoever can reach the sandbox may play with it. A form sent from another site is refused.
"""

import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jinja2
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from orders.payments.sandbox.faults import (
    ANSWER_KINDS,
    ARMED_FOR,
    EXPLAINED,
    GROUPS,
    LABELS,
    Fault,
    Faults,
)
from orders.payments.sandbox.http import Sandbox, body_of, invalid
from orders.payments.sandbox.money import decimals, written
from orders.payments.sandbox.payments import NotPossible, Payment, possible
from orders.payments.sandbox.store import GLOBAL

HERE = Path(__file__).parent
SHOWN = 50
HEADERS = {
    # No form-action: the checkout's own form ends in a redirect to the shop, which may be anywhere.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'",
    # With "no-referrer" a browser sends these pages' own forms as from nowhere (Origin: null): they would be refused.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
STATES = {
    "pending": "awaiting the customer",
    "processing": "processing",
    "authorised": "authorised",
    "captured": "paid",
    "failed": "declined",
    "cancelled": "cancelled",
    "expired": "expired",
}
ACTION_LABELS = {
    "pay": "Pay",
    "decline": "Decline",
    "authorise": "Authorise",
    "capture": "Capture",
    "process": "Set to processing",
    "cancel": "Cancel",
    "expire": "Expire",
    "refund": "Refund",
    "settle_refund": "Complete the refund",
    "fail_refund": "Fail the refund",
    "dispute": "Open a dispute",
    "win_dispute": "Win the dispute",
    "lose_dispute": "Lose the dispute",
}

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)
_templates.globals |= {
    "labels": LABELS,
    "explained": EXPLAINED,
    "groups": GROUPS,
    "states": STATES,
    "action_labels": ACTION_LABELS,
}
_templates.filters |= {
    "money": written,
    "clock": lambda at: f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}",
}


def page(name: str, status: int = 200, **context: Any) -> Response:
    return HTMLResponse(_templates.get_template(name).render(context), status, HEADERS)


Handler = Callable[[Request, Sandbox], Awaitable[Response]]


def shown(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A page whose `NotPossible` becomes a page too, and whose form is taken from this site alone."""

    async def endpoint(request: Request) -> Response:
        try:
            if request.method == "POST":
                _refuse_other_sites(request)
            return await handler(request, request.app.state.sandbox)
        except NotPossible as no:
            return page("sorry.html", no.status, message=str(no))

    return endpoint


def _refuse_other_sites(request: Request) -> None:
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    host = urlsplit(origin).netloc if origin else request.headers.get("host")
    if site not in ("same-origin", "none") or host != request.headers.get("host"):
        raise NotPossible("this form came from another site", code="cross_site", status=403)


async def show_checkout(request: Request, sandbox: Sandbox) -> Response:
    payment = sandbox.desk.find(request.path_params["ref"])
    return page("checkout.html", payment=payment, row=_row(sandbox, payment), can=possible(payment))


async def use_checkout(request: Request, sandbox: Sandbox) -> Response:
    payment = sandbox.desk.find(request.path_params["ref"])
    form = await _form(request)
    action = dict(form).get("action", "")
    if action not in ("pay", "decline", "leave", "process", "authorise"):
        raise NotPossible(f"there is no action {action!r}", status=422)
    if chosen := _chosen_faults(form, payment.currency):
        before = sandbox.desk.faults(payment.merchant_ref)
        sandbox.desk.store.set_faults(payment.merchant_ref, (*before, *chosen))
    sandbox.desk.act(payment.provider_ref, action)
    # 303: the browser must not post again to the shop.
    return RedirectResponse(payment.return_url or f"{request.url.path}/closed", 303, HEADERS)


async def closed(request: Request, sandbox: Sandbox) -> Response:
    return page("closed.html", payment=sandbox.desk.find(request.path_params["ref"]))


async def console(_request: Request, sandbox: Sandbox) -> Response:
    rows = [_row(sandbox, payment) for payment in sandbox.desk.store.newest_payments(SHOWN)]
    return page("console.html", rows=rows, shown=SHOWN, faults=sandbox.desk.faults(GLOBAL))


async def show_payment(request: Request, sandbox: Sandbox) -> Response:
    payment = sandbox.desk.find(request.path_params["ref"])
    return page("payment.html", row=_row(sandbox, payment))


def _row(sandbox: Sandbox, payment: Payment) -> dict[str, Any]:
    """A payment, what can be done with it, what goes wrong, and what has."""
    store = sandbox.desk.store
    return {
        "payment": payment,
        "can": possible(payment),
        "faults": sandbox.desk.faults(payment.merchant_ref),
        "happened": [h for h in sandbox.desk.happened if h.merchant_ref == payment.merchant_ref],
        "deliveries": [
            (delivery, store.tries_of(delivery.id))
            for delivery in store.deliveries_of(payment.provider_ref)
        ],
    }


async def use_console(request: Request, sandbox: Sandbox) -> Response:
    payment = sandbox.desk.find(request.path_params["ref"])
    form = dict(await _form(request))
    amount = _minor(form.get("amount", ""), payment) if form.get("amount") else None
    sandbox.desk.act(payment.provider_ref, form.get("action", ""), amount)
    is_alone = "alone" in form  # it was pressed on the payment's own page
    back = f"/payments/{payment.provider_ref}" if is_alone else f"/#{payment.provider_ref}"
    return RedirectResponse(back, 303, HEADERS)


async def set_payment_faults(request: Request, sandbox: Sandbox) -> Response:
    payment = sandbox.desk.find(request.path_params["ref"])
    chosen = _chosen_faults(await _form(request), payment.currency)
    sandbox.desk.store.set_faults(payment.merchant_ref, chosen)
    return RedirectResponse(f"/payments/{payment.provider_ref}", 303, HEADERS)


async def set_faults(request: Request, sandbox: Sandbox) -> Response:
    sandbox.desk.store.set_faults(GLOBAL, _chosen_faults(await _form(request), "XTS"))
    return RedirectResponse("/", 303, HEADERS)


async def _form(request: Request) -> list[tuple[str, str]]:
    try:
        text = (await body_of(request)).decode()
        return parse_qsl(text, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise NotPossible("the form cannot be read", status=422) from None


def _chosen_faults(form: list[tuple[str, str]], currency: str) -> tuple[Fault, ...]:
    """The ticked faults, with the form's `seconds` and `count` where they were filled in."""
    fields = dict(form)
    extra = {name: fields[name] for name in ("seconds", "count") if fields.get(name)}
    other = "EUR" if currency != "EUR" else "USD"
    until = time.time() + ARMED_FOR
    chosen: list[dict[str, Any]] = [
        {
            "fault": kind,
            "currency": other,
            "until": until if kind in ANSWER_KINDS else None,
            **extra,
        }
        for name, kind in form
        if name == "fault"
    ]
    try:
        return Faults.validate_python(chosen)
    except ValidationError as wrong:
        raise invalid(wrong) from None


def _minor(text: str, payment: Payment) -> int:
    """`12.5` EUR is 1250: what people type, in the currency's minor unit."""
    whole, _, rest = text.strip().partition(".")
    digits = decimals(payment.currency)
    if not re.fullmatch("[0-9]+", whole + rest) or len(rest) > digits or len(whole) > 12:
        raise NotPossible(f"{text!r} is not an amount in {payment.currency}", status=422)
    return int((whole + rest.ljust(digits, "0")) or "0")


routes = [
    Route("/", shown(console), methods=["GET"]),
    Route("/faults", shown(set_faults), methods=["POST"]),
    Route("/payments/{ref}", shown(show_payment), methods=["GET"]),
    Route("/payments/{ref}/act", shown(use_console), methods=["POST"]),
    Route("/payments/{ref}/faults", shown(set_payment_faults), methods=["POST"]),
    Route("/checkout/{ref}", shown(show_checkout), methods=["GET"]),
    Route("/checkout/{ref}", shown(use_checkout), methods=["POST"]),
    Route("/checkout/{ref}/closed", shown(closed), methods=["GET"]),
    Mount("/static", StaticFiles(directory=HERE / "static")),
]
