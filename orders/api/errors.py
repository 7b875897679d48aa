"""What the API answers to each kind of error."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from orders import access
from orders.api.authentication import Forbidden
from orders.api.problems import problem, unavailable
from orders.database import UNAVAILABLE
from orders.domain.errors import OrderError
from orders.payments.registry import UnknownProvider
from orders.security.rate_limits import TooMany

_TOKEN_CODES = {access.TokenExpired: "token_expired", access.TokenRevoked: "token_revoked"}


def install(api: NinjaAPI) -> None:
    for kind, handler in _HANDLERS.items():
        api.add_exception_handler(kind, handler)
    for away in UNAVAILABLE:
        api.add_exception_handler(away, unavailable)


def _order_error(request: HttpRequest, error: OrderError) -> HttpResponse:
    return problem(request, error.status, error.code, str(error))


def _unknown_provider(request: HttpRequest, error: UnknownProvider) -> HttpResponse:
    return problem(request, 422, "unknown_provider", str(error))


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"where": ".".join(str(part) for part in e["loc"][1:] or e["loc"]), "what": e["msg"]}
        for e in error.errors
    ]
    detail = "; ".join(f"{e['where']}: {e['what']}" for e in errors)
    return problem(request, 422, "invalid_request", detail, errors=errors)


def _unauthenticated(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    detail = "Send `Authorization: Bearer …` with a service token or an order grant, or log in."
    named = {"WWW-Authenticate": 'Bearer realm="ordercast"'}
    return problem(request, 401, "unauthenticated", detail, headers=named)


def _bad_token(request: HttpRequest, error: access.BadToken) -> HttpResponse:
    code = _TOKEN_CODES.get(type(error), "bad_token")
    named = f'Bearer realm="ordercast", error="invalid_token", code="{code}"'
    return problem(request, 401, code, str(error), headers={"WWW-Authenticate": named})


def _too_many(request: HttpRequest, error: TooMany) -> HttpResponse:
    wait = {"Retry-After": str(error.retry_after)}
    return problem(request, 429, "too_many_requests", str(error), headers=wait)


def _forbidden(request: HttpRequest, error: Forbidden) -> HttpResponse:
    return problem(request, 403, "forbidden", str(error), scope=str(error.scope))


def _not_found(request: HttpRequest, _error: Http404) -> HttpResponse:
    return problem(request, 404, "not_found", "There is no such endpoint.")


def _too_big(request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024
    return problem(request, 413, "too_large", f"The body is larger than {limit} KB.")


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    codes = {400: "malformed_body", 403: "csrf_failed", 422: "invalid_request"}
    code = codes.get(error.status_code, "http_error")
    return problem(request, error.status_code, code, error.message)


_HANDLERS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    OrderError: _order_error,
    UnknownProvider: _unknown_provider,
    ValidationError: _invalid,
    AuthenticationError: _unauthenticated,
    access.BadToken: _bad_token,
    TooMany: _too_many,
    Forbidden: _forbidden,
    Http404: _not_found,
    RequestDataTooBig: _too_big,
    HttpError: _http_error,
}
