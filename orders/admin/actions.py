"""What staff can do to orders: each action asks for a reason, and shows what became of each order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from orders import access, audit, commands, refreshing
from orders.admin.base import ModelAdmin
from orders.cause import Cause, Source
from orders.errors import OrderError
from orders.models import Order
from orders.payments.registry import UnknownProvider

AT_ONCE = 50  # orders: each may take as long as its provider's timeout

FOUND = {
    "applied": "Something new, and applied",
    "nothing_new": "Nothing new",
    "asking": "Out of step; the provider is asked again at once",
    "conflict": "Makes no sense from here; flagged",
    "mismatch": "Another amount, currency or reference; flagged",
    "not_found": "The provider does not know the payment",
    "refused": "The provider refused",
    "rate_limited": "The provider asks us to wait",
    "unavailable": "The provider is away",
    "ambiguous": "No answer in time; the outcome is open",
    "malformed": "The answer made no sense",
}


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=300,
        label="Reason",
        help_text="Kept with what is done, beside your name.",
        widget=forms.TextInput(attrs={"class": "vTextField", "autofocus": True}),
    )


@dataclass(frozen=True)
class Line:
    """One line of the result: `level` is success, info or error."""

    level: str
    found: str
    detail: str = ""


@dataclass
class Result:
    """What became of one order."""

    order: Order
    was: str
    lines: list[Line] = field(default_factory=list)

    @property
    def has_moved(self) -> bool:
        return bool(self.was != self.order.state)


Work = Callable[[Order, Cause], list[Line]]


def _force_refresh(order: Order, cause: Cause) -> list[Line]:
    results = refreshing.refresh_order(order.ref, cause=cause)
    if not results:
        return [Line("info", "There is no payment yet to ask about")]
    return [
        Line(
            "info" if r.found in {"applied", "nothing_new"} else "error",
            FOUND.get(r.found, r.found),
            r.detail,
        )
        for r in results
    ]


def _clear_review(order: Order, cause: Cause) -> list[Line]:
    flags = ", ".join(order.flags)
    commands.clear_review(order.ref, reason=cause.reason, cause=cause)
    return [Line("success", "Flags cleared", flags)]


def _accept_late_payment(order: Order, cause: Cause) -> list[Line]:
    commands.accept_late_payment(order.ref, reason=cause.reason, cause=cause)
    return [Line("success", "Late payment accepted")]


def _revoke_links(order: Order, cause: Cause) -> list[Line]:
    name = access.revocation.order(order.ref)
    access.revoke(name, actor=cause.actor, reason=cause.reason)
    return [
        Line("success", "All links so far are revoked", "pages opened by them close within 3 s")
    ]


def _with_reason(
    work: Work,
    title: str,
    says: str,
    modeladmin: ModelAdmin,
    request: HttpRequest,
    queryset: QuerySet[Order],
) -> HttpResponse | None:
    chosen = list(queryset[: AT_ONCE + 1])
    if len(chosen) > AT_ONCE:
        messages.error(request, f"Please choose at most {AT_ONCE} orders at once.")
        return None
    form = ReasonForm(request.POST if "confirm" in request.POST else None)
    results = None
    if form.is_valid():
        who = request.user.get_username()
        cause = Cause(Source.STAFF, who, form.cleaned_data["reason"])
        results = [_do(work, order, cause) for order in chosen]
    context = {
        **modeladmin.admin_site.each_context(request),
        "opts": modeladmin.opts,
        "media": modeladmin.media,
        "title": title,
        "says": says,
        "form": form,
        "orders": chosen,
        "results": results,
        "action": request.POST["action"],
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "orders/admin/action.html", context)


def _do(work: Work, order: Order, cause: Cause) -> Result:
    result = Result(order, order.state)
    try:
        with audit.write(f"admin{work.__name__}", cause, order.ref):
            result.lines = work(order, cause)
    except (OrderError, UnknownProvider) as refused:
        result.lines = [Line("error", "Not done", str(refused))]
    result.order = Order.objects.get(pk=order.pk)
    return result


def _action(work: Work, name: str, title: str, permission: str, says: str) -> Any:
    action = update_wrapper(partial(_with_reason, work, title, says), work)
    action.__name__ = name  # what Django's form calls it
    return admin.action(description=title, permissions=[permission])(action)


force_refresh = _action(
    _force_refresh,
    "force_refresh",
    "Force refresh from provider",
    "refresh",
    "The provider is asked about every payment of each order, now, and its answer is let in.",
)
clear_review = _action(
    _clear_review,
    "clear_review",
    "Clear review flags",
    "staff_change",
    "You have looked at each order, and its flags no longer stand.",
)
accept_late_payment = _action(
    _accept_late_payment,
    "accept_late_payment",
    "Accept late payment",
    "staff_change",
    "Money came after the order was closed, and the shop takes it: the order becomes paid.",
)
revoke_links = _action(
    _revoke_links,
    "revoke_links",
    "Revoke links",
    "staff_change",
    "Every link and grant to each order so far ends; the shop can give out new ones.",
)
