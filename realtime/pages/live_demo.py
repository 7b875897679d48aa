"""`/demo/`, in the demo alone: an order's page and its payment at the sandbox side by side, to press and to watch."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from orders import access
from orders.access.links import page_url
from orders.commands import lifecycle, provider_calls
from orders.domain.cause import Cause, Source
from orders.models import Order
from orders.payments.base import ProviderError

_DEMO = Cause(Source.SYSTEM, "demo")
_MADE_HERE = "live_demo"  # in the metadata of orders for this page


@require_safe
def begin(request: HttpRequest) -> HttpResponse:
    """What there is to try, and the button that makes an order for it."""
    _only_in_the_demo()
    return render(request, "realtime/demo.html", {})


@require_POST
def make_order(_request: HttpRequest) -> HttpResponse:
    """A new order whose payment has begun, so that there is something to press on both sides."""
    _only_in_the_demo()
    order, _ = lifecycle.create_order(
        total=1_250,
        currency="EUR",
        metadata={"title": gettext("Two bags of coffee"), _MADE_HERE: True},
        cause=_DEMO,
    )
    with suppress(ProviderError):  # the sandbox is not there: the page says so
        provider_calls.start_payment(order.ref, mode="callback", provider="house", cause=_DEMO)
    return redirect("demo-order", order.ref)


@require_safe
def side_by_side(request: HttpRequest, ref: str) -> HttpResponse:
    """The order's page on one side, its payment at the sandbox on the other."""
    _only_in_the_demo()
    # Whoever comes gets a grant, so it must be an order that was made for that.
    order = get_object_or_404(Order, ref=ref, **{f"metadata__{_MADE_HERE}": True})
    payment = order.payments.order_by("-pk").first()
    sandbox = str(settings.ORDERCAST_PROVIDERS["house"]["url"])
    at_sandbox = (
        f"{sandbox}/payments/{payment.provider_ref}" if payment and payment.provider_ref else ""
    )
    found = {"page": page_url(ref, access.issue_grant([ref])), "payment": at_sandbox}
    answer = render(request, "realtime/demo.html", found)
    parts = urlsplit(sandbox)
    answer["Content-Security-Policy"] = (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; "
        f"frame-src 'self' {parts.scheme}://{parts.netloc}"
    )
    return answer


class OrderPagesInFrames:
    """Middleware of the demo: pages of orders may be shown in frames of this origin, as `side_by_side` does."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse]) -> None:
        self._answer = answer

    def __call__(self, request: HttpRequest) -> Any:
        answer = self._answer(request)
        if request.path.startswith("/orders/"):
            answer["X-Frame-Options"] = "SAMEORIGIN"
            answer["Content-Security-Policy"] = (
                # No form-action: the form that pays is answered by a redirect to the checkout.
                "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'self'"
            )
        return answer


def _only_in_the_demo() -> None:
    if not settings.ORDERCAST_DEMO:
        raise Http404
