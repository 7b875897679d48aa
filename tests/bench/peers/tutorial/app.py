"""The way of the tutorials: a consumer that joins the group itself, and a view that saves and sends.

A whole Django project in one file (settings, model, consumer, view, addresses), for uvicorn, with DATABASE_URL and
VALKEY_URL. What Django and Channels give by default, and what their documentation shows, is left as it is.
"""

import json
import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings

_database = urlsplit(os.environ["DATABASE_URL"])

settings.configure(
    SECRET_KEY="nothing here is secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["channels"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "tutorial",
            "USER": _database.username,
            "HOST": parse_qs(_database.query)["host"][0],
            # Django's default is a connection for each request; with this, psycopg's pool.
            "OPTIONS": {"pool": True} if os.environ.get("TUTORIAL_POOL") else {},
        }
    },
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ["VALKEY_URL"]], "prefix": "tutorial"},
        }
    },
)
django.setup()

from asgiref.sync import async_to_sync  # noqa: E402 — Django's parts want its settings first
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Order(models.Model):
    ref = models.CharField(max_length=32, unique=True)
    state = models.CharField(max_length=50)
    version = models.IntegerField(default=0)

    class Meta:
        app_label = "tutorial"

    def __str__(self) -> str:
        return self.ref


class OrderConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # Channels is untyped
    async def connect(self) -> None:
        self.group = f"order_{self.scope['url_route']['kwargs']['ref']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, _code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def order_changed(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(event["message"]))


def callback(request: HttpRequest) -> HttpResponse:
    """Saves the new state and tells the group. Verifies nothing, keeps no history."""
    message = json.loads(request.body)
    order = Order.objects.get(ref=message["order"])  # type: ignore[attr-defined] # not among our installed apps
    order.state, order.version = message["state"], message["version"]
    order.save()
    async_to_sync(get_channel_layer().group_send)(
        f"order_{order.ref}", {"type": "order.changed", "message": message}
    )
    return HttpResponse("ok")


urlpatterns = [path("callback/", callback)]
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("ws/orders/<str:ref>/", OrderConsumer.as_asgi())]),
    }
)
