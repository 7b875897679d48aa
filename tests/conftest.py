"""Fixtures for all tests: the real database with real commits, and Valkey."""

import os
from collections.abc import Iterator
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection, connections
from django.test.utils import setup_databases
from pytest_django.plugin import DjangoDbBlocker
from structlog.contextvars import clear_contextvars

from tests.people import _quick_passwords, bearer, logged_in, user

__all__ = ["_quick_passwords", "bearer", "logged_in", "user"]

# What migrations put there and every test needs.
_KEPT = {"django_content_type", "auth_permission", "django_migrations", "orders_journalepoch"}


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
    django_db_modify_db_settings: None,
) -> Iterator[None]:
    """This worker's database. Not dropped at the end: its whole server is thrown away.

    pytest-django's own makes one only for tests that carry its mark, and `database` needs none.
    """
    with django_db_blocker.unblock():
        setup_databases(verbosity=0, interactive=False, serialized_aliases=set())
    yield
    with django_db_blocker.unblock():
        for each in connections.all(initialized_only=True):
            each.close()
            each.close_pool()  # type: ignore[attr-defined] # a pool left open warns at exit


@pytest.fixture(autouse=True)
def _no_context_of_another_test() -> None:
    """What one test bound to its log lines would stand in those of the next."""
    clear_contextvars()


@pytest.fixture
def database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The database, with real commits, and empty again after the test.

    Not pytest-django's `transactional_db`: that one truncates, which the journal refuses.
    """
    with django_db_blocker.unblock():
        yield
        try:
            _empty()
        finally:
            connections.close_all()


@pytest.fixture
def valkey() -> Iterator["redis.Redis"]:
    """A client of this run's Valkey, on this worker's database, emptied after the test."""
    with redis.Redis.from_url(settings.VALKEY_URL) as client:
        yield client
        client.flushdb()


@pytest.fixture
def child_environment(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> dict[str, str]:
    """What a process that a test starts needs in order to see the same database and Valkey."""
    with django_db_blocker.unblock():
        name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])
    return {**os.environ, "DATABASE_URL": urlunsplit(url._replace(path=f"/{quote(name)}"))}


def _empty() -> None:
    """Delete all rows. Takes milliseconds: DELETE, not TRUNCATE, which would wait for every other connection."""
    connection.close()  # whatever the test left: an open transaction, a broken connection
    tables = [name for name in connection.introspection.table_names() if name not in _KEPT]
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '3s'")
        # As a replica, PostgreSQL neither checks foreign keys nor runs the triggers that protect the journal.
        cursor.execute("SET session_replication_role = replica")
        try:
            cursor.execute("; ".join(f'DELETE FROM "{name}"' for name in tables))  # noqa: S608 — our own tables
        except psycopg.errors.LockNotAvailable:
            pytest.fail("a test left a transaction open on another connection")
        finally:
            cursor.execute("RESET session_replication_role")
            cursor.execute("RESET lock_timeout")
