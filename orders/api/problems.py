"""Errors as `application/problem+json` (RFC 9457), each with a stable `code`."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

CONTENT_TYPE = "application/problem+json"


def problem(request: HttpRequest, status: int, code: str, detail: str, **more: Any) -> HttpResponse:
    """The answer that tells a client what was wrong, and what would be right."""
    body = {
        "type": "about:blank",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        "instance": request.path,
        **more,
    }
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)
