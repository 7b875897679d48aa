"""The HTTP API for other services, under `/api/`; its description is served at `/api/docs`."""

from datetime import timedelta
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Header, Path, Query, Status
from pydantic import StringConstraints

from orders import access, clock
from orders.access import Scope
from orders.api import errors, why
from orders.api.authentication import Bearer, Forbidden, GrantCookie, Principal, Session
from orders.api.schemas import (
    EventsOut,
    GrantIn,
    GrantOut,
    NewOrderOut,
    OrderIn,
    OrderOut,
    OrderStateOut,
    PaymentIn,
    Problem,
    ReasonIn,
    RefreshOut,
    RefundIn,
    RefundOut,
    StartedOut,
)
from orders.api.serializers import (
    events_out,
    grant_out,
    new_order_out,
    order_for_customer,
    order_out,
    order_state_out,
    payment_out,
    refreshed_out,
)
from orders.api.strict_api import StrictAPI
from orders.commands import lifecycle, provider_calls, refunds
from orders.commands.refresh import refresh_order
from orders.domain.errors import OrderNotFound
from orders.domain.payment_status import LIVE
from orders.domain.states import UNPAID
from orders.journal import queries
from orders.models import Order, Refund
from orders.payments.base import PaymentStatus
from orders.security import audit

api = StrictAPI(
    title="Ordercast",
    version="1",
    description="Orders whose state is what the payment provider says it is, and pages that show it live. "
    "Amounts are integers in minor units. Errors are `application/problem+json` with a stable `code`.",
    auth=[Bearer(), GrantCookie(), Session()],
    urls_namespace="api",
)
api.add_router("", why.router)
errors.install(api)

Seen = OrderOut | OrderStateOut  # after a write: the second for those who may not read it
Ref = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
IdempotencyKey = Annotated[Key | None, Header(alias="Idempotency-Key")]
ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 408, 409, 413, 422, 429, 503), Problem)


def _writer(request: HttpRequest, scope: Scope, ref: str | None = None) -> Principal:
    """The principal, if it has the scope, and may see the order it writes to."""
    principal: Principal = request.auth  # type: ignore[attr-defined]
    try:
        principal.need(scope)
        if ref is not None:
            principal.visible(ref)
    except (Forbidden, OrderNotFound) as refused:
        audit.note(
            scope,
            principal.cause(),
            ref or "",
            outcome=refused.code,
            detail=str(refused),
            is_kept=principal.is_trusted,
        )
        raise
    return principal


def _reader(request: HttpRequest) -> Principal:
    principal: Principal = request.auth  # type: ignore[attr-defined]
    principal.may_look()
    return principal


@api.post(
    "/orders", response={201: NewOrderOut, 200: NewOrderOut, **ERRORS}, summary="Create an order"
)
def create_order(request: HttpRequest, body: OrderIn, key: IdempotencyKey = None) -> Status[Any]:
    """The same `Idempotency-Key` with the same body gives the same order (200); with another body, 422."""
    principal = _writer(request, Scope.WRITE_ORDERS)
    cause = principal.cause()
    with audit.write("order.create", cause) as entry:
        order, is_new = lifecycle.create_order(
            total=body.amount,
            currency=body.currency,
            metadata=body.metadata,
            customer_id=body.customer,
            expires_in=body.expires_in,
            idempotency_key=key,
            cause=cause,
        )
        entry.order = order.ref
    return Status(
        201 if is_new else 200, new_order_out(order, queries.epoch(), sees_all=principal.sees_all)
    )


@api.get("/orders/{ref}", response={200: OrderOut, 304: None, **ERRORS}, summary="Get an order")
def get_order(request: HttpRequest, response: HttpResponse, ref: Path[Ref]) -> Any:
    """Answers with an `ETag` made of the order's cursor, and with 304 where `If-None-Match` holds it.

    It changes with every event, and once when the time to pay is over. What is no event leaves it as it is: when a
    payment was and will be looked at. Guests and customers see no reasons of flags,
    and of the metadata the `title` alone.
    """
    principal = _reader(request)
    order = principal.visible(ref)
    epoch = queries.epoch()
    # Its deadline changes what it says without an event.
    is_over = order.state in UNPAID and order.is_past_deadline(clock.now())
    response["ETag"] = etag = f'"{epoch}:{order.version}{":over" if is_over else ""}"'
    response["Cache-Control"] = "private, no-cache"
    if etag in request.headers.get("If-None-Match", ""):
        return Status(304, None)
    return order_out(order, epoch) if principal.sees_all else order_for_customer(order, epoch)


@api.get(
    "/orders/{ref}/events",
    response={200: EventsOut, **ERRORS},
    summary="List the events of an order",
)
def get_events(
    request: HttpRequest,
    ref: Path[Ref],
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=queries.TAIL_LIMIT)] = 100,
) -> EventsOut:
    """The order's events after a version, oldest first, without a hole."""
    _reader(request).visible(ref)
    return events_out(queries.read_page(ref, after, limit), limit)


@api.post(
    "/orders/{ref}/payments",
    response={200: StartedOut, 202: StartedOut, **ERRORS},
    summary="Start a payment",
)
def start_payment(
    request: HttpRequest, ref: Path[Ref], body: PaymentIn, key: IdempotencyKey = None
) -> Status[StartedOut]:
    """Begin an attempt to pay.

    Mode `callback` answers 202 at once with the checkout address. Mode `sync` waits for the provider and answers
    200 with the result; where the provider has none in time, 202, and the reconciler finds it out.
    """
    principal = _writer(request, Scope.WRITE_PAYMENTS, ref)
    with audit.write("payment.start", principal.cause(), ref):
        payment = provider_calls.start_payment(
            ref,
            mode=body.mode,
            provider=body.provider,
            return_url=body.return_url or "",
            idempotency_key=key,
            cause=principal.cause(),
        )
    is_settled = payment.status not in LIVE - {PaymentStatus.AUTHORISED}
    order = principal.visible(ref)
    started = StartedOut(payment=payment_out(payment, order), order=_seen(principal, order))
    return Status(200 if body.mode == "sync" and is_settled else 202, started)


@api.post(
    "/orders/{ref}/cancel", response={200: Seen, 202: Seen, **ERRORS}, summary="Cancel an order"
)
def cancel_order(request: HttpRequest, ref: Path[Ref], body: ReasonIn) -> Status[Any]:
    """200 once cancelled; 202 while the provider has yet to confirm."""
    principal = _writer(request, Scope.WRITE_ORDERS, ref)
    cause = principal.cause(body.reason)
    with audit.write("order.cancel", cause, ref):
        provider_calls.cancel_order(ref, reason=body.reason, cause=cause)
    order = _order(principal, ref)
    return Status(202 if order.is_cancelling else 200, order)


@api.post("/orders/{ref}/grants", response={201: GrantOut, **ERRORS}, summary="Issue a grant")
def issue_grant(request: HttpRequest, ref: Path[Ref], body: GrantIn) -> Status[GrantOut]:
    """A new grant and the page's link with it, for a customer whose link has expired or was revoked.

    What was issued before stays as it is: revoking is another thing.
    """
    cause = _writer(request, Scope.WRITE_ORDERS, ref).cause()
    with audit.write("order.grant", cause, ref):
        grant = access.issue_grant([ref], timedelta(seconds=body.lifetime))
    return Status(201, grant_out(ref, grant))


@api.post("/orders/{ref}/refunds", response={202: RefundOut, **ERRORS}, summary="Refund an order")
def refund(
    request: HttpRequest, ref: Path[Ref], body: RefundIn, key: IdempotencyKey = None
) -> Status[RefundOut]:
    """The order's state follows when the provider says that the money has gone."""
    principal = _writer(request, Scope.WRITE_PAYMENTS, ref)
    cause = principal.cause(body.reason)
    with audit.write("order.refund", cause, ref):
        made: Refund = refunds.request_refund(
            ref, amount=body.amount, reason=body.reason, idempotency_key=key, cause=cause
        )
    answer = RefundOut(
        ref=made.ref,
        payment=made.payment.ref,
        amount=made.amount,
        status=made.status,
        order=_order(principal, ref),
    )
    return Status(202, answer)


@api.post(
    "/orders/{ref}/refresh",
    response={200: RefreshOut, **ERRORS},
    summary="Check with the provider now",
)
def refresh(request: HttpRequest, ref: Path[Ref]) -> RefreshOut:
    """Ask the provider about each of the order's payments, apply the answers, and say what was found."""
    principal = _writer(request, Scope.REFRESH, ref)
    cause = principal.cause("API refresh")
    with audit.write("order.refresh", cause, ref):
        results = refresh_order(ref, cause=cause)
    found = [refreshed_out(result, sees_all=principal.sees_all) for result in results]
    return RefreshOut(results=found, order=_order(principal, ref))


def _order(principal: Principal, ref: str) -> Seen:
    """The order after a write, as far as its sender may read it."""
    return _seen(principal, principal.visible(ref))


def _seen(principal: Principal, order: Order) -> Seen:
    epoch = queries.epoch()
    return order_out(order, epoch) if principal.sees_all else order_state_out(order, epoch)
