"""Everything through PgBouncer in transaction mode: nothing is left in a session, and nothing needs one."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from orders.models import Payment
from tests.orders.deliveries import message, signed
from tests.people import SERVICE
from tests.pgbouncer import pgbouncer
from tests.postgres import prepare
from tests.realtime.serving import ServerProcess

pytestmark = pytest.mark.stack

NAME = "behind_pgbouncer"
LOCKS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"


@pytest.fixture
def direct(child_environment: dict[str, str]) -> Iterator[str]:
    """The address of a fresh database, without PgBouncer."""
    url = urlsplit(child_environment["DATABASE_URL"])
    with psycopg.connect(url.geturl(), autocommit=True) as connection:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(NAME))
        connection.execute(drop)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        yield url._replace(path=f"/{NAME}").geturl()
        connection.execute(drop)


@pytest.fixture
def environment(
    child_environment: dict[str, str], valkey: object, direct: str
) -> Iterator[dict[str, str]]:
    (host,) = parse_qs(urlsplit(direct).query)["host"]
    with pgbouncer(host) as port:
        yield {
            **child_environment,
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/{NAME}",
            "ORDERCAST_DATABASE_POOLER": "transaction",
        }


@pytest.fixture
def web(environment: dict[str, str]) -> Iterator[ServerProcess]:
    prepare(environment)
    server = ServerProcess(environment).wait()
    yield server
    server.stop()


def manage(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(direct: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(direct, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def test_one_deploy_after_another_leaves_no_lock(environment: dict[str, str], direct: str) -> None:
    with others_at_work(environment["DATABASE_URL"]):
        prepare(environment)
        left = asked(direct, LOCKS)
        if not left:  # or it would wait for ever
            prepare(environment)
            left = asked(direct, LOCKS)

    assert left == []


@contextmanager
def others_at_work(url: str) -> Iterator[None]:
    """So that PgBouncer gives each statement of ours another connection than the one before."""
    is_over = threading.Event()

    def work() -> None:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            while not is_over.is_set():
                connection.execute("SELECT pg_sleep(0.002)")

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work) for _ in range(3)]
        try:
            yield
        finally:
            is_over.set()
    for each in working:
        each.result()


def test_orders_are_made_paid_checked_and_verified(
    environment: dict[str, str], direct: str, web: ServerProcess
) -> None:
    headers = {"Authorization": f"Bearer {SERVICE}"}
    with httpx.Client(base_url=web.url, trust_env=False, timeout=60, headers=headers) as client:

        def buys(_number: int) -> list[int]:
            made = client.post("/api/orders", json={"amount": 1250, "currency": "EUR"})
            ref = made.json()["ref"]
            begun = client.post(f"/api/orders/{ref}/payments", json={"mode": "callback"})
            payment = begun.json()["payment"]
            row = Payment(ref=payment["ref"], provider="house", amount=1250, currency="EUR")
            body = message(row, "captured")
            called = client.post(
                "/callbacks/house/", content=body, headers=signed(body, f"evt_{ref}")
            )
            seen = client.get(f"/api/orders/{ref}/events")
            assert [event["event"] for event in seen.json()["events"]][-1] == "payment.captured"
            return [made.status_code, begun.status_code, called.status_code, seen.status_code]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(buys, range(24)))

        assert {tuple(answer) for answer in answers} == {(201, 202, 200, 200)}
        assert client.get("/health/ready").status_code == 200

    assert "payments checked" in manage(environment, "reconcile", "--once")
    assert "orders agree with their events" in manage(environment, "verify_orders")
    assert "sessions ended" in manage(environment, "revoke", "--user", "demo")
    left = asked(
        direct,
        "SELECT name FROM pg_prepared_statements UNION ALL SELECT name FROM pg_cursors WHERE is_holdable",
    )
    assert left == []


def test_a_transaction_sets_its_own_limits_and_leaves_none(
    environment: dict[str, str], web: ServerProcess
) -> None:
    ask = "from django.db import connection, transaction as t; c = connection.cursor();"
    show = "c.execute('SHOW lock_timeout'); print(c.fetchone()[0]);"
    code = (
        f"{ask} {show} a = t.atomic(); a.__enter__(); {show} a.__exit__(None, None, None); {show}"
    )

    said = manage(
        {**environment, "ORDERCAST_LOCK_TIMEOUT": "3"}, "shell", "--no-imports", "-c", code
    )

    assert said.split() == ["0", "3s", "0"]
