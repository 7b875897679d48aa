"""One deploy at a time, behind a pooler too."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection


@contextmanager
def one_at_a_time(key: int, waiting: Callable[[], object]) -> Iterator[None]:
    """Whoever else comes with this key, from any machine, waits; `waiting` is called if that is us.

    The lock belongs to a transaction on a connection of its own: a session's lock would stay with PgBouncer's
    connection when ours is gone, and no other deploy would ever get it. PostgreSQL frees it if we die.
    """
    wrapper = connection
    params = wrapper.get_connection_params()
    with wrapper.wrap_database_errors, psycopg.connect(**params) as holder:
        holder.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        holder.execute("SET LOCAL lock_timeout = 0")
        holder.execute("SET LOCAL statement_timeout = 0")
        taken = holder.execute("SELECT pg_try_advisory_xact_lock(%s)", [key]).fetchone()
        if taken != (True,):
            waiting()
            holder.execute("SELECT pg_advisory_xact_lock(%s)", [key])
        yield
