"""Processes whose clock is wrong, by libfaketime: also where a library asks the time by itself."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest


def skewed(environment: Mapping[str, str], seconds: float) -> dict[str, str]:
    """The environment of a process that takes it to be so much later. Durations are right."""
    return {
        **environment,
        "LD_PRELOAD": str(_library()),
        "FAKETIME": f"{seconds:+g}s",
        # As on a real machine, whose clock is wrong and whose timers are not.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(Path(__file__).with_name("faketime")),
    }


def _library() -> Path:
    """Skips where it is missing, and fails where all must be green."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if found is None:
        missing = "libfaketime is missing (on Debian: apt-get install faketime)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found
