"""PostgreSQL taken away from the test's own process: nothing listens where it should be."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from tests.ports import free_port


@contextmanager
def database_away(*, timeout: float = 0.2) -> Iterator[None]:
    """`timeout`: how long the pool waits, in seconds."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    kept = connection.settings_dict
    pool = {**kept["OPTIONS"]["pool"], "timeout": timeout}
    away = {"HOST": "127.0.0.1", "PORT": str(free_port()), "OPTIONS": {**kept["OPTIONS"], "pool": pool}}  # fmt: skip
    connection.settings_dict = kept | away
    try:
        yield
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
        connection.settings_dict = kept
