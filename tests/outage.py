"""PostgreSQL as a test wants it for this process: taken away, or quick to say that a row is locked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from tests.ports import free_port


@contextmanager
def database_away(*, timeout: float = 0.2) -> Iterator[None]:
    """Nothing listens where it should be. `timeout`: how long the pool waits, in seconds."""
    pool = {**connection.settings_dict["OPTIONS"]["pool"], "timeout": timeout}
    options = {**connection.settings_dict["OPTIONS"], "pool": pool}
    with _connected({"HOST": "127.0.0.1", "PORT": str(free_port()), "OPTIONS": options}):
        yield


@contextmanager
def locked(statement: str, *parameters: object) -> Iterator[None]:
    """Somebody else holds what the statement locks, and whoever wants it waits a moment only."""
    kept = connection.settings_dict["OPTIONS"]
    limits = {**kept["limits"], "lock_timeout": 200}
    names = {"dbname", "user", "password", "host", "port"}
    params: dict[str, Any] = connection.get_connection_params()
    with (
        psycopg.connect(**{n: v for n, v in params.items() if n in names}) as holder,
        _connected({"OPTIONS": {**kept, "limits": limits}}),
    ):
        holder.execute(statement, parameters)
        yield
        holder.rollback()


@contextmanager
def _connected(changes: dict[str, Any]) -> Iterator[None]:
    """With other settings, on connections made anew."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    kept = connection.settings_dict
    connection.settings_dict = kept | changes
    try:
        yield
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
        connection.settings_dict = kept
