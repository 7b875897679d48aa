"""What a web process serves: Django, the live streams over WebSocket and SSE, and the life of the hub behind them."""

import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
django.setup(set_prefix=False)

# After Django is set up: what follows imports models.
from django.conf import settings  # noqa: E402

from backend.config import provider_accounts  # noqa: E402
from backend.http import asgi_middleware  # noqa: E402
from backend.http.django_handlers import Callbacks, Pages  # noqa: E402
from backend.http.gateway import Gateway  # noqa: E402
from backend.server import compatibility  # noqa: E402
from realtime import lifespan, routing  # noqa: E402
from realtime.access import log_redaction  # noqa: E402

log_redaction.install()
provider_accounts.warm()
callbacks, pages = Callbacks(), Pages()


async def _inner(scope: dict[str, Any], receive: Any, send: Any) -> None:
    match scope["type"]:
        case "websocket":
            await routing.websocket_application(scope, receive, send)
        case "http" if routing.is_stream(scope):
            await routing.stream_application(scope, receive, send)
        case "http" if scope["path"].startswith("/callbacks/"):
            await callbacks(scope, receive, send)
        case "http":
            await pages(scope, receive, send)
        case "lifespan":
            await lifespan.application(scope, receive, send)
        case other:
            raise ValueError(f"no application for scope type {other!r}")


compatibility.prepare()
application = asgi_middleware.wrapped(Gateway(_inner), settings.ORDERCAST_ASGI_MIDDLEWARE)
