"""The page between choosing an action and running it: asks for a reason, then shows each row's result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.admin.base import ModelAdmin, badge, link
from orders.database import UNAVAILABLE, Reason, reason
from orders.domain.cause import Cause, Source
from orders.domain.errors import OrderError
from orders.payments.registry import UnknownProvider
from orders.security import audit

AT_ONCE = 50  # rows; each may be a call to a provider
Text = str | Promise


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=300,
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("Recorded with your name."),
        widget=forms.TextInput(
            attrs={"class": "vTextField", "autofocus": True, "aria-describedby": "reason-help"}
        ),
    )


@dataclass(frozen=True)
class Line:
    """One line of the result: `level` is success, info or error."""

    level: str
    found: Text
    detail: Text = ""


@dataclass
class Result:
    """What became of one row."""

    row: Model
    was: str
    lines: list[Line] = field(default_factory=list)

    @property
    def link(self) -> SafeString | str:
        return link(self.row, name_of(self.row))

    @property
    def badges(self) -> list[SafeString]:
        now = state_of(self.row)
        return [badge(now)] if now == self.was else [badge(self.was), badge(now)]


Work = Callable[[Any, Cause], list[Line]]
Answer = HttpResponse | list[Result]


@dataclass(frozen=True, kw_only=True)
class Act:
    """What staff can do: `name` is the form's word for it, `permission` the admin class's."""

    name: str
    title: Text
    says: Text
    permission: str
    carry_out: Callable[[HttpRequest, Sequence[Any], Cause], Answer]


def action(act: Act) -> Any:
    """The act as an action of Django's admin."""
    made = update_wrapper(partial(_run, act), _run)
    made.__name__ = act.name
    title: Any = act.title  # lazy, which Django's types call by another name
    return admin.action(description=title, permissions=[act.permission])(made)


def on_each(
    work: Work, name: str, ref_of: Callable[[Any], str]
) -> Callable[[HttpRequest, Sequence[Any], Cause], Answer]:
    """Do the work on each row at once, in this request, noted in the audit as `name` on the order `ref_of` tells."""

    def carry_out(_request: HttpRequest, rows: Sequence[Any], cause: Cause) -> Answer:
        return [_do(work, name, ref_of(row), row, cause) for row in rows]

    return carry_out


def _run(
    act: Act, modeladmin: ModelAdmin, request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse | None:
    chosen = list(queryset[: AT_ONCE + 1])
    if len(chosen) > AT_ONCE:
        said = _("Select at most %(most)d at a time.") % {"most": AT_ONCE}
        messages.error(request, said)
        return None
    form = ReasonForm(request.POST if "confirm" in request.POST else None)
    results = None
    if form.is_valid():
        cause = Cause(Source.STAFF, request.user.get_username(), form.cleaned_data["reason"])
        answer = act.carry_out(request, chosen, cause)
        if isinstance(answer, HttpResponse):
            return answer
        results = answer
    context = {
        **modeladmin.admin_site.each_context(request),
        "opts": modeladmin.opts,
        "media": modeladmin.media,
        "title": act.title,
        "says": act.says,
        "form": form,
        "chosen": [(row, name_of(row), badge(state_of(row))) for row in chosen],
        "results": results,
        "action": act.name,
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "orders/admin/action.html", context)


def _do(work: Work, name: str, ref: str, row: Any, cause: Cause) -> Result:
    result = Result(row, state_of(row))
    try:
        with audit.write(name, cause, ref):
            result.lines = work(row, cause)
    except (OrderError, UnknownProvider) as refused:
        result.lines = [Line("error", gettext_lazy("Not done"), str(refused))]
    except UNAVAILABLE as error:
        if reason(error) is not Reason.BUSY:
            raise
        # This one is locked by somebody; what was done to the others is done, and is said.
        busy = gettext_lazy(
            "Something else is happening to it just now. Please try again in a moment."
        )
        result.lines = [Line("error", gettext_lazy("Not done"), busy)]
    row.refresh_from_db()
    return result


def name_of(row: Any) -> str:
    """What people know the row by."""
    return f"{row.ref[:8]}…" if hasattr(row, "ref") else str(getattr(row, "event_id", row))


def state_of(row: Any) -> str:
    return str(getattr(row, "state", "") or getattr(row, "outcome", ""))
