"""What programs call (`/api/`, `/callbacks/`) answers errors as problem+json, whichever part of Django made them.

Django and django-ninja answer some with a page: an unknown path, a method that is not allowed, an exception. A
provider's own answer to a callback is never a page, so it stays as it is.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from orders.api import problems

PREFIXES = ("/api/", "/callbacks/")
Answering = Callable[[HttpRequest], HttpResponse]


def problems_for_programs(get_response: Answering) -> Answering:
    """The outermost middleware, so that it sees what all others answer."""

    def answer(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(PREFIXES):
            return get_response(request)
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            # A redirect would turn a POST into a GET, and teach a client to send its token in the clear.
            return problems.problem(
                request, 403, "https_required", f"Use {settings.ORDERCAST_PUBLIC_URL}/."
            )
        found = get_response(request)
        is_page = found.get("Content-Type", "").startswith("text/html")
        is_error = found.status_code >= 400 and is_page
        return problems.instead_of(request, found) if is_error else found

    return answer
