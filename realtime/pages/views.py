"""The pages that customers see: one order, its receipt, my orders, and where to begin.

Right without JavaScript; live with it. In which language, `backend.http.locale` decides.
"""

from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from orders import clock
from orders.domain import money
from orders.journal import queries
from orders.models import Order
from realtime.access import origins
from realtime.pages import checkout, entry, order_view, payment_receipt, texts

Answer = TypeVar("Answer", bound=HttpResponseBase)

LISTED = 25  # orders on each page of "my orders"

# No script or style stands in a page, so the strictest policy serves. A WebSocket to the page's own host is 'self'.
_POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """What this is, and where to go from here."""
    return _page(request, "start")


@login_required(login_url="login")
@require_safe
def my_orders(request: HttpRequest) -> HttpResponse:
    """The orders of whoever is logged in, the newest first, live. `?before=<ref>` leads to older ones."""
    mine = Order.objects.filter(customer=request.user.pk).order_by("-pk")
    before = (
        mine.filter(ref=request.GET.get("before", "")[:32]).values_list("pk", flat=True).first()
    )
    found = list((mine.filter(pk__lt=before) if before else mine)[: LISTED + 1])
    orders = found[:LISTED]
    word = queries.epoch()
    watched = [{"order": r.ref, "cursor": {"epoch": word, "version": r.version}} for r in orders]
    context = {
        "rows": [_row(order) for order in orders],
        "is_older": before is not None,
        "older": orders[-1].ref if len(found) > LISTED else "",
        "page": {"orders": watched, **texts.for_browser()},
    }
    return _page(request, "orders", context)


def _row(order: Order) -> dict[str, Any]:
    facts = {"captured": order.captured, "refunded": order.refunded}
    key = order_view.shown_as(
        order.state,
        facts,
        is_cancelling=order.is_cancelling,
        is_overdue=order.is_past_deadline(clock.now()),
    )
    return {
        "order": order,
        "title": order_view.title_of(order),
        "says": texts.SHOWN[key],
        "total": money.written(order.total, order.currency),
    }


@csrf_exempt  # `_pay_form` asks for the token
@require_http_methods(["GET", "HEAD", "POST"])
def order(request: HttpRequest, ref: str) -> HttpResponse:
    """One order, for its customer, staff with the permission, or whoever has its grant; POST begins to pay.

    An unknown order, one that is not yours and a bad grant look the same.
    """
    if request.method == "POST":
        return _pay_form(request, ref) if _is_from_us(request) else _back_by_post(request)
    if (entered := entry.exchange(request, ref)) is not None:
        return entered
    found = _visible(request, ref)
    if found is None:
        return _not_shown(request)
    view = order_view.of(found)
    context = {"view": view, "page": view.for_browser(), "receipt": reverse("receipt", args=[ref])}
    return _page(request, "order", context)


@require_safe
def receipt(request: HttpRequest, ref: str) -> HttpResponse:
    """What came and what went back, for printing; to the order itself as long as no money has come."""
    if (entered := entry.exchange(request, ref)) is not None:
        return entered
    found = _visible(request, ref)
    if found is None:
        return _not_shown(request)
    back = reverse("order", args=[ref])
    view = payment_receipt.of(found)
    if view is None:
        return redirect(back)
    return _page(request, "receipt", {"receipt": view, "back": back})


def _visible(request: HttpRequest, ref: str) -> Order | None:
    """The order if it may be seen: by whoever is logged in, or by a grant."""
    return Order.objects.filter(ref=ref).first() if entry.may_see(request, ref) else None


def _is_from_us(request: HttpRequest) -> bool:
    shown = {b"host": request.headers.get("Host", "")}
    if (origin := request.headers.get("Origin")) is not None:
        shown[b"origin"] = origin
    return origins.is_own(shown)


def _back_by_post(request: HttpRequest) -> HttpResponse:
    """Some providers' checkouts send their customers back by POST; what they post is none of our business."""
    return HttpResponseRedirect(request.get_full_path(), status=303)


@csrf_protect
def _pay_form(request: HttpRequest, ref: str) -> HttpResponse:
    found = _visible(request, ref)
    if found is None:
        return _not_shown(request)
    return entry.keep(request, ref, checkout.pay(request, found))


def _not_shown(request: HttpRequest) -> HttpResponse:
    """A stranger's page, with what its address says of the way that led here."""
    return _page(request, "no_order", {"link": entry.link(request)}, status=404)


def _page(
    request: HttpRequest, name: str, context: dict[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    log_in = f"{reverse('login')}?{urlencode({'next': request.get_full_path()})}"
    answer = render(
        request, f"realtime/{name}.html", {"log_in": log_in, **(context or {})}, status=status
    )
    return _guarded(answer)


def shop(_request: HttpRequest) -> dict[str, str]:
    """For every template: whose pages these are."""
    return {"shop": settings.ORDERCAST_SHOP_NAME}


class LogIn(LoginView):
    """For customers and staff alike; the admin's own lets only staff in."""

    template_name = "realtime/login.html"
    next_page = "orders"
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return _guarded(super().dispatch(request, *args, **kwargs))


def _guarded(answer: Answer) -> Answer:
    answer["Content-Security-Policy"] = _POLICY
    answer["Cache-Control"] = "private, no-cache"
    answer["Referrer-Policy"] = (
        "same-origin"  # not "no-referrer": CSRF is checked by the origin that this names
    )
    answer["X-Robots-Tag"] = "noindex"
    return answer
