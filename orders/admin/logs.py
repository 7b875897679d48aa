"""What orders are made of: payment attempts, refunds, checks, and the journal itself. All read-only.

Searches go by indexes: a reference's beginning, or what leads to a payment (`searching`).
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orders import clock
from orders.admin import searching
from orders.admin.base import (
    ReadOnlyAdmin,
    ahead,
    badge,
    folded,
    link_to_order,
    link_to_payment,
    moment,
)
from orders.domain import money
from orders.models import OrderEvent, Payment, PaymentCheck, Refund
from orders.support import labels
from orders.support.labels import Text


class Checks(admin.SimpleListFilter):
    title = _("checks")
    parameter_name = "checks"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("due", _("Due now")), ("open", _("Scheduled"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "due":
            # By its own index: in the list's order the planner would rather walk the whole table.
            return queryset.filter(next_check_at__lte=clock.now()).order_by("next_check_at")
        if self.value() == "open":
            return queryset.filter(next_check_at__isnull=False).order_by("next_check_at")
        return queryset


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__", "order_link", "provider", "status_badge", "amount_shown", "last_check", "next_check",
    )  # fmt: skip
    list_select_related = ("order",)
    list_filter = (Checks,)
    search_fields = ("ref",)
    search_help_text = _(
        "Payment or order reference (its beginning is enough), or the provider's full reference"
    )
    readonly_fields = (
        "order_link", "status_badge", "amount_shown", "authorised_shown", "captured_shown", "refunded_shown",
        "disputed_shown",
    )  # fmt: skip
    fields = (
        "order_link", "ref", "provider", "provider_ref", "mode", "status_badge", "amount_shown", "authorised_shown",
        "captured_shown", "refunded_shown", "disputed_shown", "dispute", "failure_code", "checkout_url", "profile",
        "step", "last_checked_at", "next_check_at", "created_at", "changed_at",
    )  # fmt: skip

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        if term := searching.clean(search_term):
            queryset = queryset.filter(pk__in=searching.payments_of(term))
        return queryset, False

    @admin.display(description=_("order"))
    def order_link(self, payment: Payment) -> SafeString | str:
        return link_to_order(payment.order)

    @admin.display(description=_("status"))
    def status_badge(self, payment: Payment) -> SafeString:
        return badge(payment.status)

    @admin.display(description=_("amount"))
    def amount_shown(self, payment: Payment) -> str:
        return money.written(payment.amount, payment.currency)

    @admin.display(description=_("authorised"))
    def authorised_shown(self, payment: Payment) -> str:
        return money.written(payment.authorised, payment.currency)

    @admin.display(description=_("captured"))
    def captured_shown(self, payment: Payment) -> str:
        return money.written(payment.captured, payment.currency)

    @admin.display(description=_("refunded"))
    def refunded_shown(self, payment: Payment) -> str:
        return money.written(payment.refunded, payment.currency)

    @admin.display(description=_("disputed"))
    def disputed_shown(self, payment: Payment) -> str:
        return money.written(payment.disputed, payment.currency)

    @admin.display(description=_("last check"))
    def last_check(self, payment: Payment) -> SafeString | str:
        return moment(payment.last_checked_at)

    @admin.display(description=_("next check"))
    def next_check(self, payment: Payment) -> SafeString | str:
        return ahead(payment.next_check_at)


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = ("ref", "payment_link", "status_badge", "amount_shown", "reason", "created_at")
    list_select_related = ("payment",)
    search_fields = ("ref__startswith",)
    readonly_fields = ("payment_link", "status_badge", "amount_shown")
    fields = (
        "payment_link", "ref", "provider_ref", "status_badge", "amount_shown", "reason", "created_at",
    )  # fmt: skip

    @admin.display(description=_("payment"))
    def payment_link(self, refund: Refund) -> SafeString | str:
        return link_to_payment(refund.payment)

    @admin.display(description=_("status"))
    def status_badge(self, refund: Refund) -> SafeString:
        return badge(refund.status)

    @admin.display(description=_("amount"))
    def amount_shown(self, refund: Refund) -> str:
        return money.written(refund.amount, refund.payment.currency)


@admin.register(PaymentCheck)
class PaymentCheckAdmin(ReadOnlyAdmin):
    list_display = (
        "checked_at", "payment_link", "found_badge", "detail", "source_shown", "actor", "took_ms",
    )  # fmt: skip
    list_select_related = ("payment",)
    search_fields = ("payment",)
    search_help_text = _(
        "Payment or order reference (its beginning is enough), or the provider's full reference"
    )
    readonly_fields = ("payment_link", "found_badge", "source_shown")
    fields = (
        "payment_link", "checked_at", "found_badge", "detail", "source_shown", "actor", "took_ms",
    )  # fmt: skip

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        if term := searching.clean(search_term):
            queryset = queryset.filter(payment__in=searching.payments_of(term))
        return queryset, False

    @admin.display(description=_("payment"))
    def payment_link(self, check: PaymentCheck) -> SafeString | str:
        return link_to_payment(check.payment)

    @admin.display(description=_("result"))
    def found_badge(self, check: PaymentCheck) -> SafeString:
        return badge(check.found)

    @admin.display(description=_("source"))
    def source_shown(self, check: PaymentCheck) -> Text:
        return labels.source(check.source)


@admin.register(OrderEvent)
class OrderEventAdmin(ReadOnlyAdmin):
    list_display = (
        "id", "order_link", "version", "type_shown", "state_badge", "source_shown", "actor", "at",
    )  # fmt: skip
    list_display_links = ("id",)
    list_select_related = ("order",)
    search_fields = ("order",)
    search_help_text = _("Order reference (its beginning is enough)")
    readonly_fields = (
        "order_link", "type_shown", "state_badge", "source_shown", "data_shown", "facts_shown",
    )  # fmt: skip
    fields = (
        "order_link", "version", "type_shown", "schema", "state_badge", "source_shown", "actor", "at", "data_shown",
        "facts_shown",
    )  # fmt: skip

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        if term := searching.clean(search_term):
            queryset = queryset.filter(order__in=searching.orders_by_ref(term))
        return queryset, False

    @admin.display(description=_("order"))
    def order_link(self, event: OrderEvent) -> SafeString | str:
        return link_to_order(event.order)

    @admin.display(description=_("state"))
    def state_badge(self, event: OrderEvent) -> SafeString:
        return badge(event.state)

    @admin.display(description=_("event"))
    def type_shown(self, event: OrderEvent) -> SafeString:
        return format_html("{} <code>{}</code>", labels.event(event.type), event.type)

    @admin.display(description=_("source"))
    def source_shown(self, event: OrderEvent) -> Text:
        return labels.source(event.source)

    @admin.display(description=_("data"))
    def data_shown(self, event: OrderEvent) -> SafeString:
        return folded(event.data)

    @admin.display(description=_("facts"))
    def facts_shown(self, event: OrderEvent) -> SafeString:
        return folded(event.facts)
