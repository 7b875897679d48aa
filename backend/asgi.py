"""What a web process serves: Django, the live streams over WebSocket and SSE, and the life of the hub behind them."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
django_application = get_asgi_application()

# After Django is set up: what follows imports models.
from backend import accounts  # noqa: E402
from backend.middleware import Doors  # noqa: E402
from realtime import lifespan, redaction, routing  # noqa: E402

redaction.install()
accounts.warm()


async def _inner(scope: dict[str, Any], receive: Any, send: Any) -> None:
    match scope["type"]:
        case "websocket":
            await routing.websocket_application(scope, receive, send)
        case "http" if routing.is_stream(scope):
            await routing.stream_application(scope, receive, send)
        case "http":
            await django_application(scope, receive, send)
        case "lifespan":
            await lifespan.application(scope, receive, send)
        case other:
            raise ValueError(f"no application for scope type {other!r}")


application = Doors(_inner)
