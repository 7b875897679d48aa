"""The project's settings for a web process that writes each frame by ASGI's `send`."""

from realtime.hub import raw_send
from tests.realtime.settings import *  # noqa: F403 — a settings module is made of names

raw_send.knows_server = False
