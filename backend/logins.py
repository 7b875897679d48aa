"""Counts tries to log in, so that passwords cannot be guessed quickly."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from orders import limits
from orders.limits import Door, TooMany

PATHS = ("/login/", "/admin/login/")


def limit_logins(
    answer: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware: at most so many tries from each address, and then 429."""

    def limited(request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and request.path in PATHS:
            try:
                limits.admit(Door.LOGIN, limits.client(request.META["REMOTE_ADDR"]))
            except TooMany as many:
                retry = {"Retry-After": str(many.retry_after)}
                return HttpResponse(
                    f"{many}\n", status=429, headers=retry, content_type="text/plain"
                )
        return answer(request)

    return limited
