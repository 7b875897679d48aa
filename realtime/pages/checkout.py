"""What *Pay* does: on to a checkout that is still open or to a new one, and else back to the page."""

from datetime import datetime, timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext as _

from orders import clock
from orders.access import return_codes
from orders.access.links import page_url
from orders.commands import provider_calls, refresh
from orders.domain.cause import Cause, Source
from orders.domain.errors import DeadlinePassed, IllegalMove, ProviderRefused
from orders.domain.payment_status import LIVE
from orders.models import Order, Payment
from orders.payments import checkout_address, registry
from orders.payments.base import PaymentStatus
from orders.security import audit
from realtime.pages import entry

FRESH = timedelta(seconds=10)  # what was said of a payment so lately need not be asked again


def pay(request: HttpRequest, order: Order) -> HttpResponse:
    here = reverse("order", args=[order.ref])
    try:
        payment = _open_payment(request, order)
    except (IllegalMove, DeadlinePassed):
        return redirect(here)  # it has moved on meanwhile, or its time is over; the page says which
    except ProviderRefused:
        messages.error(request, _("This payment could not be started. Please try again later."))
        return redirect(here)
    if payment is not None and _can_be_opened(payment):
        return_codes.extend(payment)
        # Not `redirect`, which refuses the address of a payment app. This one was looked at.
        return HttpResponse(status=302, headers={"Location": iri_to_uri(payment.checkout_url)})
    if payment is not None:
        messages.info(
            request, _("Your payment is being prepared. Please try again in a few seconds.")
        )
    return redirect(here)


def _open_payment(request: HttpRequest, order: Order) -> Payment | None:
    """The payment that is open at its provider, or a new one; None where the order takes none."""
    if not order.is_payable(clock.now()):
        return None
    attempts = order.payments.order_by("-pk")
    payment = attempts.filter(status__in=LIVE).first()
    if payment is not None and not _is_fresh(payment, clock.now()):
        # Its checkout may have run out, and nobody has told us: that address would lead nowhere.
        refresh.refresh_payment(payment.pk, cause=_cause(request))
        order.refresh_from_db()
        if not order.is_payable(clock.now()):
            return None
        payment = attempts.filter(status__in=LIVE).first()
    return payment or _begin(request, order, attempts.first())


def _is_fresh(payment: Payment, now: datetime) -> bool:
    return max(payment.changed_at, payment.last_checked_at or payment.changed_at) > now - FRESH


def _can_be_opened(payment: Payment) -> bool:
    is_waiting = payment.status == PaymentStatus.PENDING and payment.checkout_url
    return bool(is_waiting) and checkout_address.is_allowed(
        payment.checkout_url, registry.get(payment.provider)
    )


def _begin(request: HttpRequest, order: Order, latest: Payment | None) -> Payment:
    # Two presses of one button, or one in each of two tabs, follow the same attempt: they get the same new one.
    key = f"page-after-{latest.pk if latest else 0}"
    grant = entry.grant_for(request, order.ref)
    cause = _cause(request)
    with audit.write("payment.start", cause, order.ref):
        return provider_calls.start_payment(
            order.ref,
            mode=Payment.Mode.CALLBACK,
            cause=cause,
            # Who is logged in comes back as such.
            return_url="" if grant else page_url(order.ref),
            grant=grant,
            idempotency_key=key,
        )


def _cause(request: HttpRequest) -> Cause:
    source = Source.STAFF if request.user.is_staff else Source.API
    return Cause(source, request.user.get_username() or "guest", "order page")
