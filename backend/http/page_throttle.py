"""Counts pages by address, also those of a link that is no good: each costs a thread, a template and queries."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from orders.security import rate_limits
from orders.security.rate_limits import LimitScope, TooMany

# Counted by what they are, or next to nothing.
_COUNTED_ELSEWHERE = ("/api/", "/callbacks/", "/health/", "/static/")
# Of the API, what nobody has to say who they are for.
_PUBLIC = ("/api/words", "/api/docs", "/api/openapi.json", "/api/asyncapi.json")


def limit_pages(
    answer: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware: at most so many pages for each address, and then 429."""

    def limited(request: HttpRequest) -> HttpResponse:
        if request.path.startswith(_PUBLIC) or not request.path.startswith(_COUNTED_ELSEWHERE):
            try:
                rate_limits.admit(LimitScope.PAGE, rate_limits.client(address_of(request)))
            except TooMany as many:
                return too_many(request, many)
        return answer(request)

    return limited


def too_many(request: HttpRequest, many: TooMany) -> HttpResponse:
    """A page that says when to come back."""
    page = render(request, "realtime/too_many.html", {"seconds": many.retry_after}, status=429)
    page["Retry-After"] = str(many.retry_after)
    page["Cache-Control"] = "no-store"
    return page


def address_of(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))
