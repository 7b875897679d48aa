"""Imported by every Python of a test whose clock is wrong (`tests.skew`).

libfaketime takes the end of a sleep, which is on the monotonic clock, for one on the clock that it changes.
"""

import select
import time
from typing import Any


def _sleep(seconds: Any) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
