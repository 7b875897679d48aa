"""What PostgreSQL and the provider remember, read behind everybody's back."""

import sqlite3
from collections import defaultdict
from pathlib import Path

import psycopg

from tests.chaos.verdict import Fact

_JOURNAL = """
    SELECT o.ref, e.version, extract(epoch FROM pg_xact_commit_timestamp(e.xmin))::float8
    FROM orders_orderevent e JOIN orders_order o ON o.id = e.order_id ORDER BY o.ref, e.version
"""
_ACKNOWLEDGED = """
    SELECT DISTINCT d.event_id FROM deliveries d JOIN tries t ON t.delivery = d.id WHERE t.status BETWEEN 200 AND 299
"""


def remember_commit_times(database_url: str) -> None:
    """From PostgreSQL's next start on."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")


def journal(database_url: str) -> dict[str, list[Fact]]:
    found: dict[str, list[Fact]] = defaultdict(list)
    with psycopg.connect(database_url) as connection:
        for ref, version, at in connection.execute(_JOURNAL).fetchall():
            found[ref].append(Fact(version, f"{ref}:{version}", at))
    return found


def heads(database_url: str) -> dict[str, int]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT ref, version FROM orders_order").fetchall()
        return {str(ref): int(version) for ref, version in rows}


def acknowledged_but_not_committed(sandbox: Path, database_url: str) -> list[str]:
    """Callbacks that the provider got a 2xx for, without a receipt."""
    with sqlite3.connect(sandbox) as told:
        taken = {row[0] for row in told.execute(_ACKNOWLEDGED)}
    told.close()
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT event_id FROM orders_callbackreceipt").fetchall()
    return sorted(taken - {row[0] for row in rows})
