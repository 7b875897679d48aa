"""Every address of the web process; the WebSocket and SSE ones stand in `realtime.routing`."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("orders.urls")),
]
