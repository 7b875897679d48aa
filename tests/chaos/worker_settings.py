"""The worker's settings in chaos: it sends its hints where `gossip` hears them, and nobody else does."""

from backend.settings import *  # noqa: F403 — a settings module is made of names
from backend.settings import CHANNEL_LAYERS
from tests.chaos.gossip import PREFIX

CHANNEL_LAYERS["default"]["CONFIG"]["prefix"] = PREFIX  # type: ignore[index]
