"""Processes whose clock is wrong, by libfaketime: also where a library asks the time by itself."""

from collections.abc import Mapping
from pathlib import Path

from tests.optional import skip_or_fail


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


def library() -> Path | None:
    """libfaketime, if it is installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def _library() -> Path:
    return library() or skip_or_fail("libfaketime is missing; on Debian: apt-get install faketime")
