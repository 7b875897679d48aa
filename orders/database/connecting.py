"""What this process knows of a PostgreSQL server: which connections to it are open, and how the last try went."""

import time
from collections.abc import Mapping
from threading import Lock
from typing import Any
from weakref import WeakSet

import psycopg

FRESH = 1.5  # seconds for which a failed try says that the next would fail too
_READ_ONLY = (
    "session is read-only",
    "server is in hot standby mode",
)  # libpq, of target_session_attrs


class Server:
    """One address, which may name several hosts."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: WeakSet[psycopg.Connection[Any]] = WeakSet()
        self._failed_at = float("-inf")
        self.why = ""  # the last try failed

    def failed(self, error: Exception) -> None:
        self.why = " ".join(str(error).split())
        self._failed_at = time.monotonic()

    def connected(self, connection: "psycopg.Connection[Any]") -> None:
        self._failed_at = float("-inf")
        with self._lock:
            self._open.add(connection)

    @property
    def has_connections(self) -> bool:
        with self._lock:
            return any(not each.closed for each in self._open)

    @property
    def is_down(self) -> bool:
        """A try has failed just now, and there is no connection left that one could wait for."""
        return time.monotonic() - self._failed_at < FRESH and not self.has_connections

    @property
    def is_read_only(self) -> bool:
        """The last try found a server that takes no writes."""
        return any(said in self.why for said in _READ_ONLY)


_servers: dict[tuple[Any, Any], Server] = {}


def server_of(params: Mapping[str, Any]) -> Server:
    """Of these libpq parameters."""
    return _servers.setdefault((params.get("host"), params.get("port")), Server())


class Connection(psycopg.Connection[Any]):
    """psycopg's, that tells its `Server` how it went."""

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> "Connection":
        server = server_of(kwargs)
        try:
            made = super().connect(*args, **kwargs)
        except psycopg.Error as error:
            server.failed(error)
            raise
        server.connected(made)
        return made
