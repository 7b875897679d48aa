"""503 instead of an error while the database cannot serve: a page that comes back by itself, a problem for programs.

Both ways that an error can take end here: out of a view (the middleware), and out of another middleware (the handler
of errors). Nothing that is rendered asks the database again.
"""

import sys
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.utils import translation
from django.utils.cache import add_never_cache_headers
from django.views.defaults import server_error

from backend.http.locale import MACHINES
from orders.api import problems
from orders.database import UNAVAILABLE

RELOAD = 5  # seconds until a page asks again by itself


class DatabaseUnavailable:
    """Django middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return unavailable(request, error) if isinstance(error, UNAVAILABLE) else None


def error_handler(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`, for what a middleware raises."""
    error = sys.exc_info()[1]
    if isinstance(error, UNAVAILABLE):
        return unavailable(request, error)
    return server_error(request)


def unavailable(request: HttpRequest, error: Exception) -> HttpResponse:
    """Says when to come again: to programs as a problem or in a line, to people as a page in their language."""
    if request.path.startswith(MACHINES):
        answer = problems.unavailable(request, error)
    else:
        problems.note_unavailable(request, error)
        answer = _page(request)
    add_never_cache_headers(answer)
    # It is said above; Django would say it again, with a traceback.
    answer._has_been_logged = True  # type: ignore[attr-defined] # noqa: SLF001 — nothing public says so
    return answer


def _page(request: HttpRequest) -> HttpResponse:
    language = translation.get_language_from_request(request)
    with translation.override(language):
        # Without the request: what a template is told of it (who is logged in, messages) stands in the database.
        page = loader.render_to_string(
            "503.html",
            {
                "shop": settings.ORDERCAST_SHOP_NAME,
                "reload": RELOAD,
                "here": request.get_full_path(),
            },
        )
    headers = {"Content-Language": language, "Retry-After": str(RELOAD)}
    return HttpResponse(page, status=503, headers=headers)
