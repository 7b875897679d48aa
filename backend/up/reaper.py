"""Stops processes, and removes a folder, once the process that started this one is gone, even by kill -9.

    python -I -S reaper.py [--remove FOLDER] OWNER SIGNAL:PID …

A negative PID is a process group. Each is sent its signal, and SIGKILL after ten seconds. Imports nothing of the
project, so that it costs a few megabytes and starts at once. Whoever stops its processes itself kills its reaper.
"""

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

GRACE = 10.0


def _is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def reap(targets: list[tuple[int, signal.Signals]]) -> None:
    for pid, number in targets:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    deadline = time.monotonic() + GRACE
    while any(_is_alive(pid) for pid, _ in targets) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid, _ in targets:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    folder = ""
    if arguments[:1] == ["--remove"]:
        folder, arguments = arguments[1], arguments[2:]
    # Told, not asked for here: the owner may be gone before this line runs.
    owner = int(arguments[0])
    targets = []
    for argument in arguments[1:]:
        name, _, pid = argument.partition(":")
        targets.append((int(pid), signal.Signals[f"SIG{name}"]))
    # A dead owner's children are given to another parent, also while nobody has waited for it yet.
    while os.getppid() == owner:
        time.sleep(0.25)
    reap(targets)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
