"""What all our admin pages share: read-only, fast on millions of rows, and linked to one another."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    ModelAdmin = admin.ModelAdmin[Any]
    BasePaginator = Paginator[Any]
else:
    ModelAdmin, BasePaginator = admin.ModelAdmin, Paginator

COUNTED = 5_000  # rows; nobody pages further, and counting on would read the whole table
EMPTY = "–"
A_MOMENT = timedelta(minutes=1)  # what Django's own words call 0 minutes


class BoundedPaginator(BasePaginator):
    """Counts no further than `COUNTED` rows, so that a list costs the same whatever the table holds."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment] # the admin's always is one
        return rows.order_by()[:COUNTED].count()


class ReadOnlyAdmin(ModelAdmin):
    """Who has the view permission may look. Nobody adds, changes or deletes."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet is a count
    list_per_page = 50
    sortable_by = ()  # only what has an index, and that is the order of the list already
    ordering = ("-pk",)
    empty_value_display = EMPTY

    class Media:
        css = {"all": ["orders/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def link(row: Model | None, text: str = "") -> SafeString | str:
    """A link to the row's own admin page."""
    if row is None:
        return EMPTY
    meta = row._meta  # noqa: SLF001 — Django's documented name
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, text or str(row))


def badge(word: str) -> SafeString:
    """A state, status or outcome, coloured by what it means for us."""
    return format_html('<span class="oc-badge oc-{}">{}</span>', word, word.replace("_", " "))


def moment(at: "datetime | None") -> SafeString | str:
    """How long ago; the exact time when pointed at."""
    return _time(at, lambda then, now: f"{timesince(then, now, depth=1)} ago") if at else EMPTY


def ahead(at: "datetime | None") -> SafeString | str:
    """In how long something is to happen; "due" once it should have."""
    return _time(at, lambda then, now: f"in {timeuntil(then, now, depth=1)}") if at else EMPTY


def _time(at: "datetime", spell: "Callable[[datetime, datetime], str]") -> SafeString:
    now = timezone.now()
    near = "now" if abs(at - now) < A_MOMENT else spell(at, now)
    if at < now and near.startswith("in "):
        near = "due"
    exact = date_format(timezone.localtime(at), "Y-m-d H:i:s")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, near)
