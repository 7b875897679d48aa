"""The project's settings for a server that a test starts, with some of the hub's times changed."""

import json
import os

from backend.settings import *  # noqa: F403 — a settings module is made of names

ORDERCAST_REALTIME = json.loads(os.environ.get("TEST_REALTIME", "{}"))
