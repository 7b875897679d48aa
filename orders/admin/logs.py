"""What stands behind orders: attempts to pay, refunds, callbacks, checks, and the journal itself. All read-only."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import money
from orders.admin.base import ReadOnlyAdmin, ahead, badge, link, moment
from orders.models import CallbackReceipt, Order, OrderEvent, Payment, PaymentCheck, Refund


def _of_order(order: Order) -> SafeString | str:
    return link(order, f"{order.ref[:8]}…")


def _of_payment(payment: Payment | None) -> SafeString | str:
    return link(payment, f"{payment.ref[:8]}…" if payment else "")


class Checks(admin.SimpleListFilter):
    title = "checks"
    parameter_name = "checks"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("due", "Due now"), ("open", "Still being looked at")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "due":
            return queryset.filter(next_check_at__lte=timezone.now())
        return queryset.filter(next_check_at__isnull=False) if self.value() == "open" else queryset


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__", "order_link", "provider", "status_badge", "amount_shown", "last_check", "next_check",
    )  # fmt: skip
    list_select_related = ("order",)
    list_filter = (Checks,)
    search_fields = ("ref__startswith", "provider_ref__startswith")
    readonly_fields = ("order_link", "status_badge", "amount_shown")
    fields = (
        "order_link", "ref", "provider", "provider_ref", "mode", "status_badge", "amount_shown", "authorised",
        "captured", "refunded", "disputed", "dispute", "failure_code", "checkout_url", "profile", "step",
        "last_checked_at", "next_check_at", "created_at", "changed_at",
    )  # fmt: skip

    @admin.display(description="order")
    def order_link(self, payment: Payment) -> SafeString | str:
        return _of_order(payment.order)

    @admin.display(description="status")
    def status_badge(self, payment: Payment) -> SafeString:
        return badge(payment.status)

    @admin.display(description="amount")
    def amount_shown(self, payment: Payment) -> str:
        return money.written(payment.amount, payment.currency)

    @admin.display(description="last check")
    def last_check(self, payment: Payment) -> SafeString | str:
        return moment(payment.last_checked_at)

    @admin.display(description="next check")
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

    @admin.display(description="payment")
    def payment_link(self, refund: Refund) -> SafeString | str:
        return _of_payment(refund.payment)

    @admin.display(description="status")
    def status_badge(self, refund: Refund) -> SafeString:
        return badge(refund.status)

    @admin.display(description="amount")
    def amount_shown(self, refund: Refund) -> str:
        return money.written(refund.amount, refund.payment.currency)


@admin.register(CallbackReceipt)
class CallbackReceiptAdmin(ReadOnlyAdmin):
    list_display = (
        "event_id", "provider", "kind", "payment_link", "outcome_badge", "deliveries", "received_at",
    )  # fmt: skip
    list_select_related = ("payment",)
    search_fields = ("event_id__startswith", "payment__ref__startswith")
    readonly_fields = ("payment_link", "outcome_badge", "headers_shown", "body_shown")
    fields = (
        "provider", "event_id", "kind", "payment_link", "merchant_ref", "outcome_badge", "detail", "received_at",
        "deliveries", "tries", "next_try_at", "needs_review", "headers_shown", "body_shown",
    )  # fmt: skip

    @admin.display(description="payment")
    def payment_link(self, receipt: CallbackReceipt) -> SafeString | str:
        return _of_payment(receipt.payment)

    @admin.display(description="outcome")
    def outcome_badge(self, receipt: CallbackReceipt) -> SafeString:
        return badge(receipt.outcome)

    @admin.display(description="headers")
    def headers_shown(self, receipt: CallbackReceipt) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(receipt.headers, indent=2))

    @admin.display(description="body")
    def body_shown(self, receipt: CallbackReceipt) -> SafeString:
        return format_html("<details><summary>Raw</summary><pre>{}</pre></details>", receipt.body)


@admin.register(PaymentCheck)
class PaymentCheckAdmin(ReadOnlyAdmin):
    list_display = (
        "checked_at", "payment_link", "found_badge", "detail", "source", "actor", "took_ms",
    )  # fmt: skip
    list_select_related = ("payment",)
    search_fields = ("payment__ref__startswith",)
    readonly_fields = ("payment_link", "found_badge")
    fields = (
        "payment_link", "checked_at", "found_badge", "detail", "source", "actor", "took_ms",
    )  # fmt: skip

    @admin.display(description="payment")
    def payment_link(self, check: PaymentCheck) -> SafeString | str:
        return _of_payment(check.payment)

    @admin.display(description="found")
    def found_badge(self, check: PaymentCheck) -> SafeString:
        return badge(check.found)


@admin.register(OrderEvent)
class OrderEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "order_link", "version", "type", "state_badge", "source", "actor", "at")
    list_display_links = ("id",)
    list_select_related = ("order",)
    search_fields = ("order__ref__startswith",)
    readonly_fields = ("order_link", "state_badge", "data_shown", "facts_shown")
    fields = (
        "order_link", "version", "type", "schema", "state_badge", "source", "actor", "at", "data_shown", "facts_shown",
    )  # fmt: skip

    @admin.display(description="order")
    def order_link(self, event: OrderEvent) -> SafeString | str:
        return _of_order(event.order)

    @admin.display(description="state")
    def state_badge(self, event: OrderEvent) -> SafeString:
        return badge(event.state)

    @admin.display(description="data")
    def data_shown(self, event: OrderEvent) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(event.data, indent=2, ensure_ascii=False))

    @admin.display(description="facts")
    def facts_shown(self, event: OrderEvent) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(event.facts, indent=2))
