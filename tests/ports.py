"""Ports for servers of tests."""

import random
import socket

# Below those that systems give to connections that go out: a server that is started again finds its port free.
PORTS = range(15_000, 32_000)


def free_port() -> int:
    """One of 127.0.0.1 at which nobody listens."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            # As servers do, which need not wait until the last connection of an earlier one is forgotten.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
