"""The project's settings, but the worker tells its hints to the harness (`gossip`), which spreads them its own way."""

import os

from backend.settings import *  # noqa: F403 — a settings module is made of names
from backend.settings import CHANNEL_LAYERS

if prefix := os.environ.get("CHAOS_PREFIX"):
    config: dict[str, object] = CHANNEL_LAYERS["default"]["CONFIG"]  # type: ignore[assignment]
    config["prefix"] = prefix
