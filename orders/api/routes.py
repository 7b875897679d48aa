"""The HTTP API for other services, under `/api/`; its description is served at `/api/docs`."""

from typing import Annotated, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Header, Path, Query, Status
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import StringConstraints

from orders import access
from orders.access import Scope
from orders.api import why
from orders.api.authentication import Bearer, Forbidden, GrantCookie, Principal, Session
from orders.api.problems import problem, unavailable
from orders.api.schemas import (
    EventsOut,
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
    new_order_out,
    order_for_customer,
    order_out,
    order_state_out,
    payment_out,
    refreshed_out,
)
from orders.api.strict_api import StrictAPI
from orders.commands import lifecycle, provider_calls
from orders.commands.refresh import refresh_order
from orders.database import UNAVAILABLE
from orders.domain.errors import OrderError, OrderNotFound
from orders.journal import queries
from orders.models import Refund
from orders.payments.base import PaymentStatus
from orders.payments.registry import UnknownProvider
from orders.security import audit
from orders.security.rate_limits import TooMany

api = StrictAPI(
    title="Ordercast",
    version="1",
    description="Orders whose state is what the payment provider says it is, and pages that show it at once. "
    "Amounts are integers in minor units. Errors are `application/problem+json` with a stable `code`.",
    auth=[Bearer(), GrantCookie(), Session()],
    urls_namespace="api",
)
api.add_router("", why.router)

Seen = OrderOut | OrderStateOut  # after a write: the second for those who may not read it
Ref = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
IdempotencyKey = Annotated[Key | None, Header(alias="Idempotency-Key")]
_TOKEN_CODES = {access.TokenExpired: "token_expired", access.TokenRevoked: "token_revoked"}
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
    "/orders", response={201: NewOrderOut, 200: NewOrderOut, **ERRORS}, summary="Make an order"
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


@api.get("/orders/{ref}", response={200: OrderOut, 304: None, **ERRORS}, summary="See an order")
def get_order(request: HttpRequest, response: HttpResponse, ref: Path[Ref]) -> Any:
    """Answers with an `ETag` made of the order's cursor, and with 304 where `If-None-Match` holds it.

    It changes with every event. What is no event leaves it as it is: when a payment was and will be looked at. Guests
    and customers see no reasons of flags, and of the metadata the `title` alone.
    """
    principal = _reader(request)
    order = principal.visible(ref)
    epoch = queries.epoch()
    response["ETag"] = etag = f'"{epoch}:{order.version}"'
    response["Cache-Control"] = "private, no-cache"
    if etag in request.headers.get("If-None-Match", ""):
        return Status(304, None)
    return order_out(order, epoch) if principal.sees_all else order_for_customer(order, epoch)


@api.get("/orders/{ref}/events", response={200: EventsOut, **ERRORS}, summary="Read its events")
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
    "/orders/{ref}/payments", response={200: StartedOut, 202: StartedOut, **ERRORS}, summary="Pay"
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
    is_settled = payment.status not in {"intended", PaymentStatus.PENDING, PaymentStatus.PROCESSING}
    started = StartedOut(payment=payment_out(payment), order=_order(principal, ref))
    return Status(200 if body.mode == "sync" and is_settled else 202, started)


@api.post("/orders/{ref}/cancel", response={200: Seen, 202: Seen, **ERRORS}, summary="Cancel")
def cancel_order(request: HttpRequest, ref: Path[Ref], body: ReasonIn) -> Status[Any]:
    """200 once cancelled; 202 while the provider has yet to confirm."""
    principal = _writer(request, Scope.WRITE_ORDERS, ref)
    cause = principal.cause(body.reason)
    with audit.write("order.cancel", cause, ref):
        provider_calls.cancel_order(ref, reason=body.reason, cause=cause)
    order = _order(principal, ref)
    return Status(202 if order.is_cancelling else 200, order)


@api.post("/orders/{ref}/refunds", response={202: RefundOut, **ERRORS}, summary="Give money back")
def refund(
    request: HttpRequest, ref: Path[Ref], body: RefundIn, key: IdempotencyKey = None
) -> Status[RefundOut]:
    """The order's state follows when the provider says that the money has gone."""
    principal = _writer(request, Scope.WRITE_PAYMENTS, ref)
    cause = principal.cause(body.reason)
    with audit.write("order.refund", cause, ref):
        made: Refund = provider_calls.request_refund(
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
    "/orders/{ref}/refresh", response={200: RefreshOut, **ERRORS}, summary="Ask the provider now"
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
    order, epoch = principal.visible(ref), queries.epoch()
    return order_out(order, epoch) if principal.sees_all else order_state_out(order, epoch)


@api.exception_handler(OrderError)
def _order_error(request: HttpRequest, error: OrderError) -> HttpResponse:
    return problem(request, error.status, error.code, str(error))


@api.exception_handler(UnknownProvider)
def _unknown_provider(request: HttpRequest, error: UnknownProvider) -> HttpResponse:
    return problem(request, 422, "unknown_provider", str(error))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"where": ".".join(str(part) for part in e["loc"][1:] or e["loc"]), "what": e["msg"]}
        for e in error.errors
    ]
    detail = "; ".join(f"{e['where']}: {e['what']}" for e in errors)
    return problem(request, 422, "invalid_request", detail, errors=errors)


@api.exception_handler(AuthenticationError)
def _unauthenticated(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    detail = "Send `Authorization: Bearer …` with a service token or an order grant, or log in."
    named = {"WWW-Authenticate": 'Bearer realm="ordercast"'}
    return problem(request, 401, "unauthenticated", detail, headers=named)


@api.exception_handler(access.BadToken)
def _bad_token(request: HttpRequest, error: access.BadToken) -> HttpResponse:
    code = _TOKEN_CODES.get(type(error), "bad_token")
    named = f'Bearer realm="ordercast", error="invalid_token", code="{code}"'
    return problem(request, 401, code, str(error), headers={"WWW-Authenticate": named})


@api.exception_handler(TooMany)
def _too_many(request: HttpRequest, error: TooMany) -> HttpResponse:
    wait = {"Retry-After": str(error.retry_after)}
    return problem(request, 429, "too_many_requests", str(error), headers=wait)


@api.exception_handler(Forbidden)
def _forbidden(request: HttpRequest, error: Forbidden) -> HttpResponse:
    return problem(request, 403, "forbidden", str(error), scope=str(error.scope))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, _error: Http404) -> HttpResponse:
    return problem(request, 404, "not_found", "There is nothing here.")


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024
    return problem(request, 413, "too_large", f"The body is larger than {limit} KB.")


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    codes = {400: "malformed_body", 403: "csrf_failed", 422: "invalid_request"}
    code = codes.get(error.status_code, "http_error")
    return problem(request, error.status_code, code, error.message)


for _kind in UNAVAILABLE:
    api.add_exception_handler(_kind, unavailable)
