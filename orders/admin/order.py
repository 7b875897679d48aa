"""Orders: the list that support searches, and the frame of one order's page (`order_page` fills it)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orders import clock
from orders.admin import actions, order_page, searching
from orders.admin.base import COUNTED, EMPTY, OVERDUE, ReadOnlyAdmin, ahead, badge, folded, moment
from orders.domain import money
from orders.models import Order, Payment
from orders.support import labels


class NeedsReview(admin.SimpleListFilter):
    """Only "yes" is offered: it has an index, and nobody looks for what is in order."""

    title = _("review")
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Needs review"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(needs_review=True) if self.value() == "yes" else queryset


class Checks(admin.SimpleListFilter):
    title = _("checks")
    parameter_name = "checks"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("overdue", _("Overdue"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "overdue":
            return queryset
        # Asked first and by itself: the timetable's index finds the few, whatever the orders' planner would think.
        late = Payment.objects.filter(next_check_at__lt=clock.now() - OVERDUE)
        orders = late.order_by("next_check_at").values_list("order_id", flat=True)
        return queryset.filter(pk__in=list(orders[:COUNTED]))


class Created(admin.SimpleListFilter):
    """By an index that costs next to nothing to keep (BRIN): orders lie in the order of their creation."""

    title = _("created")
    parameter_name = "created"
    _SINCE = {
        "today": lambda now: now.replace(hour=0, minute=0, second=0, microsecond=0),
        "7": lambda now: now - timedelta(days=7),
        "30": lambda now: now - timedelta(days=30),
        "365": lambda now: now - timedelta(days=365),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("today", _("Today")),
            ("7", _("Past 7 days")),
            ("30", _("Past 30 days")),
            ("365", _("Past year")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since = self._SINCE.get(self.value() or "")
        if since is None:
            return queryset
        return queryset.filter(created_at__gte=since(timezone.localtime(clock.now())))


class ByState(admin.ChoicesFieldListFilter):
    """Django's own filter, with the labels that staff read elsewhere."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        everything, *states = super().choices(changelist)
        yield everything
        names = [value for value, _name in self.field.flatchoices]
        for state, choice in zip(names, states, strict=True):
            yield {**choice, "display": labels.of(state)}


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    # What support looks for first stands first: a telephone shows no more than that without scrolling.
    list_display = (
        "short_ref", "flags_shown", "state_badge", "amount", "title", "age", "last_check", "next_check",
    )  # fmt: skip
    list_filter = (NeedsReview, Checks, Created, ("state", ByState))
    search_fields = ("ref",)  # makes the box appear; get_search_results does the work
    search_help_text = _(
        "Order or payment reference (its beginning is enough), words of the title or metadata, or the amount; or in "
        "full: the provider's reference, an idempotency key, a user name, or a provider's event ID"
    )
    actions = (
        actions.force_refresh,
        actions.flag,
        actions.clear_review,
        actions.accept_late_payment,
        actions.return_late_payment,
        actions.new_link,
        actions.revoke_links,
    )
    readonly_fields = ("metadata_shown",)
    # What matters stands above, made by `order_page`; this is the rest.
    fieldsets = (
        (
            _("More details"),
            {
                "classes": ["collapse"],
                "fields": ("ref", "customer", "idempotency_key", "request_hash", "metadata_shown"),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("payments")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if term := searching.clean(search_term):
            queryset = queryset.filter(pk__in=searching.orders_of(term))
        return queryset, False

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
        user = request.user

        def may_see(table: str) -> bool:
            return user.has_perm(f"orders.view_{table}")

        known = {} if order is None else order_page.all_that_is_known(order, may_see)
        offered = [
            (name, action[2])
            for name, action in (self.get_actions(request) or {}).items()
            if action and order is not None and order_page.is_of_use(name, order)
        ]
        context = {**known, "offered": offered, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description=_("order"))
    def short_ref(self, order: Order) -> SafeString:
        return format_html("<code>{}…</code>", order.ref[:8])

    @admin.display(description=_("state"))
    def state_badge(self, order: Order) -> SafeString:
        return badge(order.state)

    @admin.display(description=_("total"))
    def amount(self, order: Order) -> str:
        return money.written(order.total, order.currency)

    @admin.display(description=_("title"))
    def title(self, order: Order) -> str:
        return order_page.title_of(order) or EMPTY

    @admin.display(description=_("review"))
    def flags_shown(self, order: Order) -> SafeString | str:
        flags = ((labels.flag(flag),) for flag in order.flags)
        return format_html_join(" ", '<span class="oc-badge oc-flag">{}</span>', flags) or EMPTY

    @admin.display(description=_("created"))
    def age(self, order: Order) -> SafeString | str:
        return moment(order.created_at)

    @admin.display(description=_("last check"))
    def last_check(self, order: Order) -> SafeString | str:
        looks = [p.last_checked_at for p in order.payments.all() if p.last_checked_at]
        return moment(max(looks, default=None))

    @admin.display(description=_("next check"))
    def next_check(self, order: Order) -> SafeString | str:
        due = [p.next_check_at for p in order.payments.all() if p.next_check_at]
        return ahead(min(due, default=None))

    @admin.display(description=_("metadata"))
    def metadata_shown(self, order: Order) -> SafeString:
        return folded(order.metadata)
