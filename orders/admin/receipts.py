"""Callbacks as they were received: what each did, and how to process one again."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orders.admin import searching
from orders.admin.asking import Act, Line, action, on_each
from orders.admin.base import (
    ReadOnlyAdmin,
    badge,
    folded,
    link_to_order,
    link_to_payment,
    moment,
)
from orders.callbacks.dismiss import dismiss_receipt
from orders.callbacks.replay import replay_receipt
from orders.domain.cause import Cause
from orders.domain.outcomes import Outcome
from orders.models import CallbackReceipt
from orders.support import labels

_STILL_UNMATCHED = _("Still matches no payment")
_HARMLESS = {Outcome.APPLIED, Outcome.NOTHING_NEW, Outcome.ASKING}


class Matching(admin.SimpleListFilter):
    """Those without a payment, by the two indexes that hold only them."""

    title = _("payment")
    parameter_name = "receipts"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("unmatched", _("Unmatched or needing review")),
            ("trying", _("Unmatched, retrying")),
            ("given_up", _("Needing review")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        trying, given_up = Q(next_try_at__isnull=False), Q(needs_review=True)
        wanted = {"unmatched": trying | given_up, "trying": trying, "given_up": given_up}
        value = self.value()
        return queryset.filter(wanted[value]) if value in wanted else queryset


def _replay(receipt: CallbackReceipt, cause: Cause) -> list[Line]:
    outcome, detail = replay_receipt(receipt.pk, cause)
    level = "success" if outcome in _HARMLESS else "error"
    found = _STILL_UNMATCHED if outcome == Outcome.UNMATCHED else labels.of(outcome)
    return [Line(level, found, detail)]


def _ref_of(receipt: CallbackReceipt) -> str:
    return receipt.payment.order.ref if receipt.payment else ""


replay = action(
    Act(
        name="replay",
        title=_("Replay"),
        says=_(
            "Processes the stored callback again. This is safe: it cannot do more than the same callback arriving "
            "late. What is known already stays, and what is out of sequence is checked with the provider."
        ),
        permission="staff_change",
        carry_out=on_each(_replay, "admin_replay", _ref_of),
    )
)


def _dismiss(receipt: CallbackReceipt, cause: Cause) -> list[Line]:
    dismiss_receipt(receipt.pk, cause)
    return [Line("success", _("Dismissed"))]


dismiss = action(
    Act(
        name="dismiss",
        title=_("Dismiss"),
        says=_(
            "Confirms that each callback was looked at and needs nothing more. It no longer counts as needing review; "
            "what was received stays, and can still be replayed."
        ),
        permission="staff_change",
        carry_out=on_each(_dismiss, "admin_dismiss", _ref_of),
    )
)


@admin.register(CallbackReceipt)
class CallbackReceiptAdmin(ReadOnlyAdmin):
    list_display = (
        "short_id", "kind", "payment_link", "outcome_badge", "deliveries", "when", "provider",
    )  # fmt: skip
    list_select_related = ("payment",)
    list_filter = (Matching,)
    search_fields = ("event_id",)
    search_help_text = _(
        "The provider's full event ID, or a payment or order reference (its beginning is enough)"
    )
    actions = (replay, dismiss)
    readonly_fields = (
        "payment_link", "order_link", "outcome_badge", "headers_shown", "body_shown",
    )  # fmt: skip
    fields = (
        "provider", "event_id", "kind", "payment_link", "order_link", "merchant_ref", "outcome_badge", "detail",
        "received_at", "deliveries", "tries", "next_try_at", "needs_review", "headers_shown", "body_shown",
    )  # fmt: skip

    def has_staff_change_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_order")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        if term := searching.clean(search_term):
            queryset = queryset.filter(pk__in=searching.receipts_of(term))
        return queryset, False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        actions = self.get_actions(request) or {}
        receipt = self.get_object(request, object_id)
        needs_review = receipt is not None and receipt.needs_review
        offered = [
            (name, each[2])
            for name, each in actions.items()
            if each and (name != "dismiss" or needs_review)
        ]
        context = {"offered": offered, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def get_urls(self) -> list[Any]:
        download = self.admin_site.admin_view(self.download)
        return [
            path("<int:pk>/body/", download, name="orders_callbackreceipt_body"),
            *super().get_urls(),
        ]

    def download(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The body as it is stored, without secrets: for whoever has to find out what a provider meant."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        receipt = get_object_or_404(CallbackReceipt, pk=pk)
        answer = HttpResponse(receipt.body, content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = (
            f'attachment; filename="callback-{receipt.provider}-{pk}.txt"'
        )
        return answer

    @admin.display(description=_("event"))
    def short_id(self, receipt: CallbackReceipt) -> SafeString:
        shown = receipt.event_id if len(receipt.event_id) <= 12 else f"{receipt.event_id[:12]}…"
        return format_html('<code title="{}">{}</code>', receipt.event_id, shown)

    @admin.display(description=_("time"))
    def when(self, receipt: CallbackReceipt) -> SafeString | str:
        return moment(receipt.received_at)

    @admin.display(description=_("payment"))
    def payment_link(self, receipt: CallbackReceipt) -> SafeString | str:
        return link_to_payment(receipt.payment)

    @admin.display(description=_("order"))
    def order_link(self, receipt: CallbackReceipt) -> SafeString | str:
        return link_to_order(receipt.payment.order if receipt.payment else None)

    @admin.display(description=_("outcome"))
    def outcome_badge(self, receipt: CallbackReceipt) -> SafeString:
        return badge(receipt.outcome)

    @admin.display(description=_("headers"))
    def headers_shown(self, receipt: CallbackReceipt) -> SafeString:
        return folded(receipt.headers)

    @admin.display(description=_("body"))
    def body_shown(self, receipt: CallbackReceipt) -> SafeString:
        return format_html(
            '{} <p><a href="{}">{}</a></p>',
            folded(receipt.body, _("Raw, secrets removed")),
            reverse("admin:orders_callbackreceipt_body", args=[receipt.pk]),
            _("Download"),
        )
