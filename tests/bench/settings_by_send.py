"""The project's settings for a web process that writes each frame by ASGI's `send`."""

from backend.settings import *  # noqa: F403 — a settings module is made of names
from realtime.hub import raw_send

raw_send.knows_server = False
