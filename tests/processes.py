"""Whether processes that a test has seen are still there."""

from contextlib import suppress

import psutil


def runs(process: psutil.Process) -> bool:
    """Not after it has ended, even if nobody has asked for its exit code yet."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
