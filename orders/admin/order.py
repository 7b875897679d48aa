"""Orders: the list that support searches, and one order with all that is known of it."""

import json
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from orders import money
from orders.admin import actions
from orders.admin.base import EMPTY, ReadOnlyAdmin, ahead, badge, moment
from orders.models import CallbackReceipt, Order, OrderEvent, Payment, PaymentCheck
from orders.serialising import page_url

SHOWN = 200  # events, checks and receipts each, the newest


class NeedsReview(admin.SimpleListFilter):
    """Only "yes" is offered: it has an index, and nobody looks for what is in order."""

    title = "review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Needs review")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(needs_review=True) if self.value() == "yes" else queryset


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = (
        "short_ref",
        "state_badge",
        "amount",
        "flags_shown",
        "age",
        "last_check",
        "next_check",
    )
    list_filter = (NeedsReview, "state")
    search_fields = ("ref",)  # makes the box appear; get_search_results does the work
    search_help_text = (
        "Order or payment reference (its beginning will do), the provider's reference, "
        "idempotency key, or user name"
    )
    actions = (
        actions.force_refresh,
        actions.clear_review,
        actions.accept_late_payment,
        actions.revoke_links,
    )
    readonly_fields = (
        "state_badge",
        "flags_shown",
        "amount",
        "captured_shown",
        "refunded_shown",
        "disputed_shown",
        "last_check",
        "next_check",
        "page",
        "metadata_shown",
    )
    fieldsets = (
        (None, {"fields": ("state_badge", "flags_shown", "is_cancelling", "page")}),
        ("Money", {"fields": ("amount", "captured_shown", "refunded_shown", "disputed_shown")}),
        ("Checks", {"fields": ("last_check", "next_check")}),
        (
            "More",
            {
                "classes": ["collapse"],
                "fields": (
                    "ref", "customer", "version", "created_at", "changed_at", "expires_at",
                    "idempotency_key", "metadata_shown",
                ),
            },
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("payments")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        return queryset.filter(pk__in=_ids_of(term)), False

    def has_refresh_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.refresh_order")

    def has_staff_change_permission(self, request: HttpRequest) -> bool:
        """For actions: nobody edits an order's fields, but who may change orders may act on them."""
        return request.user.has_perm("orders.change_order")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        order = self.get_object(request, object_id)
        known = {} if order is None else _all_that_is_known(order)
        offered = [
            (name, action[2])
            for name, action in (self.get_actions(request) or {}).items()
            if action and order is not None and _is_of_use(name, order)
        ]
        context = {**known, "offered": offered, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="order")
    def short_ref(self, order: Order) -> SafeString:
        return format_html("<code>{}…</code>", order.ref[:8])

    @admin.display(description="state")
    def state_badge(self, order: Order) -> SafeString:
        return badge(order.state)

    @admin.display(description="total")
    def amount(self, order: Order) -> str:
        return money.written(order.total, order.currency)

    @admin.display(description="captured")
    def captured_shown(self, order: Order) -> str:
        return money.written(order.captured, order.currency)

    @admin.display(description="refunded")
    def refunded_shown(self, order: Order) -> str:
        return money.written(order.refunded, order.currency)

    @admin.display(description="disputed")
    def disputed_shown(self, order: Order) -> str:
        return money.written(order.disputed, order.currency)

    @admin.display(description="review")
    def flags_shown(self, order: Order) -> SafeString | str:
        flags = ((flag.replace("_", " "),) for flag in order.flags)
        return format_html_join(" ", '<span class="oc-badge oc-flag">{}</span>', flags) or EMPTY

    @admin.display(description="made")
    def age(self, order: Order) -> SafeString | str:
        return moment(order.created_at)

    @admin.display(description="last check")
    def last_check(self, order: Order) -> SafeString | str:
        looks = [p.last_checked_at for p in order.payments.all() if p.last_checked_at]
        return moment(max(looks, default=None))

    @admin.display(description="next check")
    def next_check(self, order: Order) -> SafeString | str:
        due = [p.next_check_at for p in order.payments.all() if p.next_check_at]
        return ahead(min(due, default=None))

    @admin.display(description="customer's page")
    def page(self, order: Order) -> SafeString:
        return format_html('<a href="{0}">{0}</a>', page_url(order.ref))

    @admin.display(description="metadata")
    def metadata_shown(self, order: Order) -> SafeString:
        return format_html(
            "<pre>{}</pre>", json.dumps(order.metadata, indent=2, ensure_ascii=False)
        )


def _ids_of(term: str) -> list[int]:
    """The orders that a reference leads to. Each question by itself, so that each can use its own index."""
    by_provider = Q(provider__in=list(settings.ORDERCAST_PROVIDERS), provider_ref=term)
    users = get_user_model().objects.filter(username=term)
    found = [
        Order.objects.filter(ref__startswith=term.lower()).values_list("pk"),
        Order.objects.filter(idempotency_key=term).values_list("pk"),
        Order.objects.filter(customer__in=users).order_by("-pk").values_list("pk"),
        Payment.objects.filter(ref__startswith=term.lower()).values_list("order_id"),
        Payment.objects.filter(by_provider).values_list("order_id"),
    ]
    return [pk for question in found for (pk,) in question[:500]]


def _is_of_use(action: str, order: Order) -> bool:
    if action == "clear_review":
        return order.needs_review
    if action == "accept_late_payment":
        return order.state in {"cancelled", "expired"} and order.captured > 0
    return True


def _all_that_is_known(order: Order) -> dict[str, Any]:
    spelled = money.spelling(order.currency)
    payments = list(order.payments.order_by("-pk"))
    return {
        "events": [
            {
                "row": event,
                "data": json.dumps(event.data, indent=2, ensure_ascii=False),
                "amount": spelled.write(event.data["amount"]) if "amount" in event.data else "",
            }
            for event in OrderEvent.objects.filter(order=order).order_by("-version")[:SHOWN]
        ],
        "payments": [
            {
                "row": payment,
                "amount": spelled.write(payment.amount),
                "last": moment(payment.last_checked_at),
                "next": ahead(payment.next_check_at),
            }
            for payment in payments
        ],
        "checks": PaymentCheck.objects.filter(payment__in=payments)
        .select_related("payment")
        .order_by("-checked_at")[:SHOWN],
        "receipts": CallbackReceipt.objects.filter(payment__in=payments)
        .select_related("payment")
        .order_by("-pk")[:SHOWN],
        "shown": SHOWN,
    }
