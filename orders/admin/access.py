"""What people and programs did, and what was taken back from them. The entries are read-only like everything here;
tokens are revoked by an action on the order they show, or by `manage.py revoke`."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orders.admin import searching
from orders.admin.base import EMPTY, ReadOnlyAdmin, badge, moment
from orders.models import AuditEntry, Revocation
from orders.support import labels
from orders.support.labels import Text


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = (
        "when",
        "actor",
        "source_shown",
        "action",
        "outcome_badge",
        "order_link",
        "reason",
        "address",
    )
    search_fields = ("order",)
    search_help_text = _("Full order reference")
    readonly_fields = ("order_link", "outcome_badge", "source_shown")
    fields = (
        "at", "actor", "source_shown", "action", "outcome_badge", "detail", "order_link", "reason", "address",
        "request_id",
    )  # fmt: skip

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        term = searching.clean(search_term)
        return (queryset.filter(order=term[:32]) if term else queryset), False

    @admin.display(description=_("order"))
    def order_link(self, entry: AuditEntry) -> SafeString | str:
        """By the list's own search, for an entry outlives what it is about and holds no key to it."""
        if not entry.order:
            return EMPTY
        address = f"{reverse('admin:orders_order_changelist')}?{urlencode({'q': entry.order})}"
        return format_html('<a href="{}">{}…</a>', address, entry.order[:8])

    @admin.display(description=_("time"))
    def when(self, entry: AuditEntry) -> SafeString | str:
        return moment(entry.at)

    @admin.display(description=_("outcome"))
    def outcome_badge(self, entry: AuditEntry) -> SafeString:
        return badge(entry.outcome)

    @admin.display(description=_("source"))
    def source_shown(self, entry: AuditEntry) -> Text:
        return labels.source(entry.source)


@admin.register(Revocation)
class RevocationAdmin(ReadOnlyAdmin):
    list_display = ("what", "when", "actor", "reason")

    @admin.display(description=_("tokens issued until"))
    def when(self, row: Revocation) -> SafeString | str:
        return moment(row.at)
