"""What `manage.py up` takes from the command line and the environment, and what it leaves to others."""

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.backend.up.starting import Up

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "ORDERCAST_DATABASE_URL",
            "postgresql://me:hush@127.0.0.1:1/ordercast",
            "cannot reach the database postgresql://127.0.0.1:1/ordercast: ",
        ),
        (
            "ORDERCAST_DATABASE_URL",
            "mysql://me:hush@127.0.0.1/ordercast",
            "ORDERCAST_DATABASE_URL must be a URL that begins with postgresql:// ",
        ),
        (
            "ORDERCAST_VALKEY_URL",
            "redis://:hush@127.0.0.1:1/0",
            "cannot reach the Valkey redis://127.0.0.1:1/0: ",
        ),
        (
            "ORDERCAST_VALKEY_URL",
            "http://:hush@127.0.0.1/0",
            "ORDERCAST_VALKEY_URL must be a URL that begins with redis:// ",
        ),
        ("ORDERCAST_TICK_SECONDS", "soon", "ORDERCAST_TICK_SECONDS should be a valid integer"),
    ],
)
def test_a_bad_setting_is_one_line_that_tells_no_secret(
    data: Path, name: str, value: str, said: str
) -> None:
    up = Up(data, **{name: value})

    assert up.wait() == 1
    assert up.lines[-1].removeprefix("CommandError: ").startswith(said)
    assert all(line.startswith(("Database: ", "Valkey: ")) for line in up.lines[:-1])
    assert "hush" not in up.output


@pytest.fixture
def other_database() -> Iterator[str]:
    """The address of another project's database, empty, on the PostgreSQL of this run."""
    url, name = os.environ["DATABASE_URL"], f"shop_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return sorted(row[0] for row in rows)


def test_what_is_exported_for_another_project_is_neither_used_nor_touched(
    data: Path, other_database: str
) -> None:
    exported = {
        "DATABASE_URL": other_database,
        "VALKEY_URL": "redis://127.0.0.1:1/0",
        "PGHOST": "127.0.0.1",
        "WEB_CONCURRENCY": "3",
        "UVICORN_PORT": "1",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "DJANGO_SETTINGS_MODULE": "shop.settings",
    }

    up = Up(data, "--without", "beat,sandbox", **exported).wait_until_ready()

    assert up.lines[0] == f"Database: PostgreSQL of its own in {data}\n"
    assert up.lines[2].startswith(
        "Not used: CELERY_BROKER_URL, DATABASE_URL, PGHOST, UVICORN_PORT, VALKEY_URL, WEB_CONCURRENCY. "
    )
    assert up.stop() == 0
    assert tables(other_database) == []


def test_a_database_that_is_named_for_it_is_used(data: Path, other_database: str) -> None:
    up = Up(data, "--without", "web,worker,beat", "--database", other_database).wait_until_ready()

    assert up.lines[0].startswith(f"Database: postgresql://{urlsplit(other_database).netloc[9:]}")
    assert up.stop() == 0
    assert "orders_order" in tables(other_database)


OTHER_HISTORY = """
    CREATE TABLE django_migrations (id serial, app text, name text, applied timestamptz);
    INSERT INTO django_migrations (app, name, applied) VALUES ('orders', '0001_shop', now())
"""


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ("CREATE TABLE shop_product (id int)", "shop_product"),
        (OTHER_HISTORY, "migration orders.0001_shop"),
    ],
)
def test_a_database_of_another_project_is_refused_and_left_as_it_was(
    data: Path, other_database: str, there: str, named: str
) -> None:
    with psycopg.connect(other_database, autocommit=True) as connection:
        connection.execute(there)
    before = tables(other_database)

    up = Up(data, ORDERCAST_DATABASE_URL=other_database)

    assert up.wait() == 1
    assert f"holds what is not Ordercast's ({named})" in up.lines[-1]
    assert "name an empty one with --database" in up.lines[-1]
    assert tables(other_database) == before


def test_the_network_is_not_let_in_without_a_word(data: Path) -> None:
    up = Up(data, "--host", "0.0.0.0")  # noqa: S104 — refused

    assert up.wait() == 2
    assert "add --open-to-network, which makes secrets of its own for it" in up.output


def test_a_demo_that_is_open_to_the_network_has_secrets_of_its_own(data: Path) -> None:
    arguments = ("--host", "0.0.0.0", "--open-to-network", "--without", "worker,beat")  # noqa: S104
    up = Up(data, *arguments).wait_until_ready()

    kept = data / "secrets.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    secrets = json.loads(kept.read_text())
    password = re.search(r"log in as demo, password (\w+)", up.output)
    assert password
    assert password[1] == secrets["ORDERCAST_DEMO_PASSWORD"] != "demo"
    web, console = f"http://127.0.0.1:{up.port}", f"http://127.0.0.1:{up.sandbox_port}/"
    with httpx.Client(trust_env=False) as client:

        def answer(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            body = {"amount": 100, "currency": "EUR"}
            return client.post(f"{web}/api/orders", json=body, headers=headers).status_code

        assert answer("demo-service-token") == 401
        assert answer(secrets["ORDERCAST_SERVICE_TOKEN"]) == 201
        assert client.get(console).status_code == 401
        assert client.get(console, auth=("demo", "demo")).status_code == 401
        assert client.get(console, auth=("demo", password[1])).status_code == 200
    assert up.stop() == 0
