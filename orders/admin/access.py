"""What people and programs did, and what was taken back from them. The entries are read-only like everything here;
tokens are revoked by an action on the order they show, or by `manage.py revoke`."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from orders.admin.base import ReadOnlyAdmin, badge, moment
from orders.models import AuditEntry, Revocation


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = (
        "when",
        "actor",
        "source",
        "action",
        "outcome_badge",
        "order",
        "reason",
        "address",
    )
    list_filter = ("source",)
    search_fields = ("order",)
    search_help_text = "Order reference, whole"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        found = queryset.filter(order=search_term.strip()) if search_term.strip() else queryset
        return found, False

    @admin.display(description="when")
    def when(self, entry: AuditEntry) -> SafeString | str:
        return moment(entry.at)

    @admin.display(description="outcome")
    def outcome_badge(self, entry: AuditEntry) -> SafeString:
        return badge(entry.outcome)


@admin.register(Revocation)
class RevocationAdmin(ReadOnlyAdmin):
    list_display = ("what", "when", "actor", "reason")

    @admin.display(description="up to")
    def when(self, row: Revocation) -> SafeString | str:
        return moment(row.at)
