"""The project's settings for a server that a test starts, with some of the hub's times changed."""

import json
import os

from backend.settings import *  # noqa: F403 — a settings module is made of names
from backend.settings import ORDERCAST_REALTIME as _LIMITS

ORDERCAST_REALTIME = {**_LIMITS, **json.loads(os.environ.get("TEST_REALTIME", "{}"))}
