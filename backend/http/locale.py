"""In which language a page is: the one chosen in its footer (a cookie), or else the best that the browser asks for."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

# Read by machines, always in English: they send no such header, and their answers should not vary by it.
MACHINES = ("/api/", "/callbacks/", "/health/")


def page_language(
    answer: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware, for `LocaleMiddleware`, which would speak to machines too, and never stop."""

    def speaking(request: HttpRequest) -> HttpResponse:
        if request.path.startswith(MACHINES):
            return answer(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = answer(request)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        response.headers.setdefault("Content-Language", language)
        return response

    return speaking
