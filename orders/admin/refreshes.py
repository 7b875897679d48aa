"""Forced refreshes: a page for each run, on which one order's result after the other appears."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from orders import clock
from orders.admin.base import ReadOnlyAdmin, badge, moment
from orders.commands import refresh_runs
from orders.models import RefreshItem, RefreshRun
from orders.support import labels

SLOW = 5  # seconds that an item waits until the page says that no worker has picked it up
HARMLESS = frozenset({"applied", "nothing_new"})
Status = RefreshItem.Status


@admin.register(RefreshRun)
class RefreshRunAdmin(ReadOnlyAdmin):
    """Who may force a refresh may see all that were forced."""

    list_display = ("when", "actor", "reason", "how_many")
    list_display_links = ("when",)
    change_form_template = "admin/orders/refreshrun/change_form.html"
    fields = ("actor", "reason", "at")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("orders.refresh_order")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        ours = path(
            "<int:pk>/carry-out/",
            self.admin_site.admin_view(require_POST(self.carry_out)),
            name="orders_refreshrun_carry_out",
        )
        return [ours, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("items")

    def carry_out(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Check from this very process, where no worker has picked it up."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not RefreshRun.objects.filter(pk=pk).exists():
            raise Http404
        refresh_runs.carry_out(pk)
        return HttpResponseRedirect(
            reverse("admin:orders_refreshrun_change", args=[pk]), status=303
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        context = {**(_progress(run) if run else {}), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description=_("time"))
    def when(self, run: RefreshRun) -> SafeString | str:
        return moment(run.at)

    @admin.display(description=_("orders"))
    def how_many(self, run: RefreshRun) -> int:
        return len(run.items.all())


def _progress(run: RefreshRun) -> dict[str, Any]:
    items = list(run.items.select_related("order").order_by("pk"))
    over = [item for item in items if item.done_at]
    waited = (clock.now() - run.at).total_seconds()
    return {
        "run": run,
        "rows": [_row(item) for item in items],
        "over": len(over),
        "count": len(items),
        "is_over": len(over) == len(items),
        "is_slow": waited > SLOW and any(item.status == Status.WAITING for item in items),
    }


def _row(item: RefreshItem) -> dict[str, Any]:
    return {
        "item": item,
        "lines": [
            ("info" if found in HARMLESS else "error", labels.of(found), detail)
            for _ref, found, detail in item.results
        ],
        "badges": [badge(state) for state in dict.fromkeys([item.was, item.state]) if state],
    }
