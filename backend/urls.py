"""Every address of the web process; the WebSocket and SSE ones stand in `realtime.routing`."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from backend.http import health

handler500 = "backend.http.unavailable.error_handler"
urlpatterns = [
    path("admin/", admin.site.urls),
    # The admin's own pages name no icon, and browsers then ask here.
    path("favicon.ico", RedirectView.as_view(url=static("realtime/icon.svg")), name="icon"),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("", include("orders.urls")),
    path("", include("realtime.urls")),
]
