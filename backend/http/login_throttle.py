"""Counts tries to log in, so that passwords cannot be guessed quickly."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from orders.security import rate_limits
from orders.security.rate_limits import LimitScope, TooMany

PATHS = ("/login/", "/admin/login/")


def limit_logins(
    answer: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware: at most so many tries from each address, and then 429."""

    def limited(request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and request.path in PATHS:
            try:
                rate_limits.admit(LimitScope.LOGIN, rate_limits.client(request.META["REMOTE_ADDR"]))
            except TooMany as many:
                context = {"seconds": many.retry_after}
                page = render(request, "realtime/too_many.html", context, status=429)
                page["Retry-After"] = str(many.retry_after)
                return page
        return answer(request)

    return limited
