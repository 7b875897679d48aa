"""Asks a process again and again whether it lives, from a process of its own, and says how long the answers took.

`python -I -S tests/fuzz/pulse.py http://127.0.0.1:8000` until its input ends; prints milliseconds as a JSON list. Only
the standard library, so that it starts at once and what the machines do does not hold it up.
"""

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Self
from urllib.parse import urlsplit

EVERY = 0.02  # seconds between two questions
PATIENCE = 10.0  # seconds for an answer; one that does not come counts as so long


class Pulse:
    """Takes the pulse of a running process, from `__enter__` to `__exit__`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.milliseconds: list[float] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, self._url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        found, _errors = self._process.communicate()
        self.milliseconds = json.loads(found)

    def said(self) -> str:
        parts = {f"p{part:g}": percentile(self.milliseconds, part / 100) for part in (50, 99, 100)}
        return ", ".join(f"{name} {value:g} ms" for name, value in parts.items())


def percentile(values: Sequence[float], part: float) -> float:
    """0 where there are none."""
    ordered = sorted(values)
    return ordered[math.ceil(part * len(ordered)) - 1] if ordered else 0.0


def main(url: str) -> None:
    over = threading.Event()
    found: list[float] = []
    asking = threading.Thread(target=_ask, args=(url, over, found), daemon=True)
    asking.start()
    sys.stdin.read()
    over.set()
    asking.join(PATIENCE)
    print(json.dumps([round(each, 2) for each in found]))


def _ask(url: str, over: threading.Event, found: list[float]) -> None:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    while not over.wait(EVERY):
        began = time.perf_counter()
        try:
            connection.request("GET", "/health/live")
            connection.getresponse().read()
        except (OSError, HTTPException):
            connection.close()
        found.append((time.perf_counter() - began) * 1000)


if __name__ == "__main__":
    main(sys.argv[1])
