"""PostgreSQL as the applications use it: the Django backend, the errors of an outage, and what one row may hold up.

A leaf: it knows no model. Only this package touches the insides of Django's and psycopg's connections and cursors.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from orders.database.errors import RETRY_AFTER, UNAVAILABLE, Busy, ReadOnly, Reason, reason

__all__ = ["RETRY_AFTER", "UNAVAILABLE", "Busy", "ReadOnly", "Reason", "reason", "unlimited"]


@contextmanager
def unlimited() -> Iterator[None]:
    """Without time-outs of locks and statements: for what an operator starts and waits for."""
    ours: Any = connection
    with ours.unlimited():
        yield
