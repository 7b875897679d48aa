"""Addresses of the API and of the callbacks."""

from django.urls import path

from orders.api.routes import api
from orders.callbacks.views import callback

urlpatterns = [
    path("api/", api.urls),
    path("callbacks/<slug:provider>/", callback, name="callback"),
    # Without the slash too: providers do not follow redirects.
    path("callbacks/<slug:provider>", callback),
]
