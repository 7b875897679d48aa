"""Errors as `application/problem+json` (RFC 9457), each with a stable `code`: the one place that knows the shape."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from orders.database import RETRY_AFTER, reason

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

# Statuses that Django, a framework or a middleware answers with: the code, and what would be right.
_GENERAL = {
    400: ("bad_request", "The request could not be understood."),
    401: ("unauthenticated", "Send credentials."),
    403: ("forbidden", "This is not allowed with these credentials."),
    404: ("not_found", "There is no such endpoint."),
    405: ("method_not_allowed", "This method is not allowed here; the Allow header names those that are."),
    413: ("too_large", "The request is too large."),
    429: ("too_many_requests", "Too many requests; retry later."),
    500: ("internal_error", "Internal error; it is logged under the request's X-Request-ID."),
    503: ("unavailable", "Unavailable now; retry in a moment."),
}  # fmt: skip

# What says how a page's body is written, which a problem's is not.
_OF_THE_PAGE = {"Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "ETag"}


def encode(status: int, code: str, detail: str, instance: str, **more: Any) -> bytes:
    """The body that tells a client what was wrong, and what would be right. `instance` is the request's path."""
    body = {
        "type": "about:blank",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        "instance": instance,
        **more,
    }
    return json.dumps(body).encode()


def problem(
    request: HttpRequest,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> HttpResponse:
    """The same as Django's answer."""
    body = encode(status, code, detail, request.path, **more)
    return HttpResponse(body, status=status, content_type=CONTENT_TYPE, headers=headers)


def instead_of(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """A problem with the status and the headers of an error that came as a page."""
    code, detail = _GENERAL.get(answer.status_code, ("http_error", answer.reason_phrase))
    kept = {n: v for n, v in answer.headers.items() if n not in _OF_THE_PAGE}
    said = problem(request, answer.status_code, code, detail, headers=kept)
    said.headers["Content-Length"] = str(len(said.content))
    return said


def unavailable(request: HttpRequest, error: Any) -> HttpResponse:
    """Of an error of `orders.database.UNAVAILABLE`: 503, and when to come again."""
    why = reason(error)
    note_unavailable(request, error)
    return problem(request, 503, why, why.meaning, headers={"Retry-After": str(RETRY_AFTER)})


def note_unavailable(request: HttpRequest, error: Exception) -> None:
    """In one line, without the query, which may hold a token, and without a traceback: it is no defect."""
    why = str(error).partition("\n")[0] or type(error).__name__
    log.warning("%s: %s is answered 503: %s", reason(error), request.path[:200], why)
