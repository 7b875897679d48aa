"""How uvicorn is started, wherever it is: by `manage.py up`, in the image, in tests. No imports: read before Django."""

from typing import Any

# Seconds that a connection may wait for its next request. Above the 60 s after which nginx and AWS's load balancers
# close an idle connection themselves: if we did so first, a request on its way would meet the close, and be lost.
KEEP_ALIVE = 75

# A frame may have 64 KB (`realtime.protocol.messages`). Up to 1 MB it is refused with an error that says so; what is
# larger is thrown away as it comes: close 1009.
UVICORN_OPTIONS: dict[str, Any] = {
    "http": "backend.server.http_protocol:HttpProtocol",
    "ws": "backend.server.websocket_protocol:WebSocketProtocol",
    "ws_max_size": 1_048_576,
    "ws_per_message_deflate": False,
    "timeout_keep_alive": KEEP_ALIVE,
}


def uvicorn_arguments() -> list[str]:
    """`UVICORN_OPTIONS` as arguments of uvicorn's command line."""
    return [
        word
        for name, value in UVICORN_OPTIONS.items()
        for word in (f"--{name.replace('_', '-')}", "false" if value is False else str(value))
    ]
