"""Ports for servers of tests."""

import fcntl
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

# Below those that systems give to connections that go out: a server that is started again finds its port free.
PORTS = range(15_000, 32_000)

# Hypothesis seeds the module's own generator: two runs would then choose alike.
_random = random.SystemRandom()
_claimed: list[IO[str]] = []  # open files, whose locks last as long as this process


def free_port() -> int:
    """One of 127.0.0.1 at which nobody listens, and which no other test process of this machine was given."""
    while True:
        port = _random.choice(PORTS)
        if _is_free(port) and _claim(port):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do, which need not wait until the last connection of an earlier one is forgotten.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _claim(port: int) -> bool:
    folder = Path(tempfile.gettempdir()) / "ordercast-test-ports"
    folder.mkdir(exist_ok=True)
    file = (folder / str(port)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _claimed.append(file)
    return True
