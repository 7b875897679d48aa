"""Every address of the web process; the WebSocket and SSE ones stand in `realtime.routing`."""

from django.contrib import admin
from django.urls import include, path

from backend import health

urlpatterns = [
    path("admin/", admin.site.urls),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("", include("orders.urls")),
    path("", include("realtime.urls")),
]
