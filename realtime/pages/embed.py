"""What other sites' pages need besides the streams: the words of `<order-status>`; in the demo also an example."""

import re
from dataclasses import asdict

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from orders import access, demo
from orders.api.problems import problem
from orders.domain import money
from realtime.access import origins
from realtime.pages import order_view, texts

_CURRENCY = re.compile("[A-Z]{3}")
_CACHED = "public, max-age=3600"  # a new release's words may come an hour late


@require_safe
def words_for_elements(request: HttpRequest) -> HttpResponse:
    """`GET /api/words?lang=de&currency=EUR`: what `words.py` says, in the language nearest to the one asked for.

    Nobody's secret, so nobody is asked who they are. Without a currency, or with one that is not made of three
    capitals, no spelling of amounts is in it.
    """
    if not origins.is_welcome(_shown(request)):
        return _not_named(request)
    currency = request.GET.get("currency", "")
    with translation.override(_nearest(request.GET.get("lang", ""))):
        found = {
            "lang": translation.get_language(),
            "dir": "rtl" if translation.get_language_bidi() else "ltr",
            "states": {str(name): asdict(says) for name, says in texts.SHOWN.items()},
            "steps": list(texts.STEPS),
            "progress": gettext("Progress"),
            "connection": dict(texts.CONNECTION),
        }
        if _CURRENCY.fullmatch(currency):
            found["money"] = asdict(money.spelling(currency))
        answer = JsonResponse(found)
    answer["Cache-Control"] = _CACHED
    patch_vary_headers(answer, ("Origin",))
    return answer


def _shown(request: HttpRequest) -> dict[bytes, str]:
    names = ("Host", "Origin")
    return {n.lower().encode(): request.headers[n] for n in names if n in request.headers}


def _not_named(request: HttpRequest) -> HttpResponse:
    """The one answer that pages of every site may read: why they may read no other."""
    with translation.override(_nearest(request.GET.get("lang", ""))):
        said = gettext(
            "This site may not show orders yet: ORDERCAST_ORIGINS of the Ordercast server has to name %(origin)s."
        )
        answer = problem(
            request, 403, "foreign_origin", said % {"origin": request.headers["Origin"]}
        )
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Cache-Control"] = "no-store"
    return answer


def _nearest(language: str) -> str:
    try:
        return translation.get_supported_language_variant(language)
    except LookupError:
        return settings.LANGUAGE_CODE


@require_safe
def example(request: HttpRequest) -> HttpResponse:
    """A shop's page that shows the demo's orders, each with a grant of its own."""
    if not settings.ORDERCAST_DEMO:
        raise Http404
    shown = [
        {
            "ref": order.ref,
            "title": order_view.title_of(order),
            "grant": access.issue_grant([order.ref]),
            "says": texts.STATES[order.state],
        }
        for order in demo.seed()
    ]
    answer = render(request, "realtime/embed.html", {"orders": shown})
    answer["Cache-Control"] = "no-store"
    answer["X-Robots-Tag"] = "noindex"
    return answer
