"""What all our admin pages share: read-only, fast on millions of rows, and linked to one another."""

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise, cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from orders import clock
from orders.models import Order, Payment
from orders.support import labels, relative_time
from orders.support.relative_time import ago

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    BasePaginator = Paginator[Any]
else:
    ModelAdmin, BasePaginator = admin.ModelAdmin, Paginator

COUNTED = 5_000  # rows; nobody pages further, and counting on would read the whole table
EMPTY = "–"
OVERDUE = timedelta(minutes=1)  # past its time: no tick of the reconciler has taken it up


class BoundedPaginator(BasePaginator):
    """Counts no further than `COUNTED` rows, so that a list costs the same whatever the table holds."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment] # the admin's always is one
        return rows.order_by()[:COUNTED].count()


class ReadOnlyAdmin(ModelAdmin):
    """Who has the view permission may look. Nobody adds, changes or deletes, whatever their permissions."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet is a count
    list_per_page = 50
    list_max_show_all = 0
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


def link_to_order(order: Order | None) -> SafeString | str:
    return link(order, f"{order.ref[:8]}…" if order else "")


def link_to_payment(payment: Payment | None) -> SafeString | str:
    return link(payment, f"{payment.ref[:8]}…" if payment else "")


def badge(word: str) -> SafeString:
    """The label of a state, status or outcome, coloured by what it means for us."""
    return format_html('<span class="oc-badge oc-{}">{}</span>', word, labels.of(word))


def folded(value: object, label: str | Promise = "JSON") -> SafeString:
    """Raw data, out of the way until somebody wants it."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return format_html(
        '<details class="oc-raw"><summary>{}</summary><pre>{}</pre></details>', label, text
    )


def moment(at: datetime | None) -> SafeString | str:
    """How long ago; the exact time when pointed at."""
    if at is None:
        return EMPTY
    return _time(at, ago(clock.now() - at))


def ahead(at: datetime | None) -> SafeString | str:
    """In how long something is to happen: "now" while it is due, "overdue" a minute after."""
    if at is None:
        return EMPTY
    left = at - clock.now()
    return _time(at, _("overdue") if left < -OVERDUE else relative_time.ahead(left))


def deadline(at: datetime | None) -> SafeString | str:
    """In how long something ends, or how long ago it did."""
    return ahead(at) if at is None or at > clock.now() else moment(at)


def _time(at: datetime, near: str) -> SafeString:
    exact = date_format(timezone.localtime(at), "Y-m-d H:i:s")
    # A number stays on one line with its unit, in columns that are narrow.
    near = re.sub(r"(\d) ", "\\1\u00a0", near)
    return format_html('<time datetime="{}" title="{} UTC">{}</time>', at.isoformat(), exact, near)
