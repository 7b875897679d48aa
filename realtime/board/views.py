"""`/board/`: the staff board as a page. Right without JavaScript; live with it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_safe

from orders.support import labels
from orders.support.counts import CLOSED, OPEN, Count
from orders.support.labels import Text
from realtime.board.board import BoardState, MinuteShown, board
from realtime.board.components import Part

PARTS: Mapping[str, Text] = {
    "valkey": _("Valkey"),
    "pages": _("Live pages (this process)"),
    "tick": _("Reconciler (beat, broker and worker)"),
    "provider": _("Provider"),
    "clock": _("Clock"),
}
_CONDITIONS: Mapping[bool | None, Text] = {
    True: pgettext_lazy("part", "OK"),
    False: pgettext_lazy("part", "unavailable"),
    None: pgettext_lazy("part", "unknown"),
}
_PAUSED = _("paused after repeated failures")
_LATE = _("no recent run")
_SKEWED = _("differs from PostgreSQL's clock")


def may_look(user: Any) -> bool:
    """Staff who may see every order."""
    return bool(user.is_active and user.is_staff and user.has_perm("orders.view_order"))


@require_safe
def board_page(request: HttpRequest) -> HttpResponse:
    """The board for staff with the permission; a log-in for whoever is nobody yet, 403 for everybody else."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path(), reverse("login"))
    if not may_look(request.user):
        raise PermissionDenied
    # Where the database cannot be asked: 503. The page that is open keeps what it shows, and asks again.
    answer = render(request, "realtime/board.html", context(board.look()))
    answer["Cache-Control"] = "private, no-store"
    return answer


def context(look: BoardState) -> dict[str, Any]:
    seen = look.figures
    orders, receipts = (
        reverse(f"admin:orders_{name}_changelist") for name in ("order", "callbackreceipt")
    )
    return {
        "at": look.at,
        "attention": [
            _tile("flagged", _("Flagged"), seen.flagged, f"{orders}?review=yes", "bad"),
            _tile("overdue", _("Overdue checks"), seen.overdue, f"{orders}?checks=overdue", "bad"),
            _tile(
                "unmatched",
                _("Unmatched callbacks"),
                seen.unmatched,
                f"{receipts}?receipts=trying",
                "wait",
            ),
            _tile(
                "given_up",
                _("Callbacks needing review"),
                seen.given_up,
                f"{receipts}?receipts=given_up",
                "bad",
            ),
        ],
        "newest": [
            {
                "row": row,
                "link": reverse("admin:orders_order_change", args=[row.pk]),
                "state": labels.STATES[row.state],
                "flags": ", ".join(str(labels.flag(flag)) for flag in row.flags),
            }
            for row in seen.newest
        ],
        "open": [
            _tile(s, labels.STATES[s], seen.open[s], f"{orders}?state__exact={s}", "") for s in OPEN
        ],
        "closed": [
            {
                "name": labels.STATES[state],
                "link": f"{orders}?state__exact={state}",
                "hour": look.closed[state],
                "total": seen.closed[state].at_least(look.closed[state]),
            }
            for state in CLOSED
        ],
        "is_estimated": any(seen.closed[state].is_estimate for state in CLOSED),
        "parts": [_part(part) for part in look.parts],
        "minutes": look.minutes,
        "sums": _sums(look.minutes),
        "chart": _chart(look.minutes),
    }


def _tile(key: str, name: Text, count: Count, link: str, tone: str) -> dict[str, Any]:
    return {
        "key": key,
        "name": name,
        "number": count.number,
        "is_more": count.is_more,
        "link": link,
        "tone": tone if count.number else "",
    }


def _part(part: Part) -> dict[str, Any]:
    condition = _CONDITIONS[part.is_well]
    if part.is_well is False:
        condition = {"provider": _PAUSED, "tick": _LATE, "clock": _SKEWED}.get(part.kind, condition)
    return {
        "name": PARTS[part.kind],
        "detail": part.name,
        "condition": condition,
        "tone": {True: "good", False: "bad", None: "over"}[part.is_well],
        "count": part.count,
        "at": part.at,
    }


def _sums(minutes: Sequence[MinuteShown]) -> dict[str, Any]:
    measured = [minute for minute in minutes if minute.p50 is not None]
    return {
        "callback": sum(minute.callback for minute in minutes),
        "reconciler": sum(minute.reconciler for minute in minutes),
        "other": sum(minute.other for minute in minutes),
        "slowest": max((minute.p95 or 0 for minute in measured), default=None),
    }


def _chart(minutes: Sequence[MinuteShown]) -> dict[str, Any]:
    """Columns, as the chart wants them: seconds since 1970 first."""
    return {
        "at": [int(minute.at.timestamp()) for minute in minutes],
        "callback": [minute.callback for minute in minutes],
        "reconciler": [minute.reconciler for minute in minutes],
        "other": [minute.other for minute in minutes],
        "p50": [minute.p50 for minute in minutes],
        "p95": [minute.p95 for minute in minutes],
    }
