"""PostgreSQL stopped for long, and started again: web, worker and beat are back within moments, not minutes."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from backend.up import command_line
from orders import access
from tests.people import SERVICE
from tests.postgres import Postgres, a_postgres
from tests.realtime.serving import ServerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.stack

# psycopg's pool tries again after 1, 2, 4, 8 … seconds: with its own settings the next of so many is far away.
TRIES = 4
REFUSED = r"error connecting in 'pool"
# Of the database's return, until each is back; in the words of `eventually`, which has patience with a busy machine.
BACK = 1.25


class Process:
    """A part of the installation, and what it has logged."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *words], env=environment, stdout=output, stderr=output
            )

    def said(self, pattern: str) -> int:
        return len(re.findall(pattern, self._log.read_text()))


@pytest.fixture
def postgres(child_environment: dict[str, str]) -> Iterator[Postgres]:
    with a_postgres({**child_environment, "ORDERCAST_TICK_SECONDS": "1"}) as made:
        yield made


@pytest.fixture
def environment(
    child_environment: dict[str, str], valkey: object, postgres: Postgres
) -> dict[str, str]:
    return {**child_environment, "DATABASE_URL": postgres.url, "ORDERCAST_TICK_SECONDS": "1"}


@pytest.fixture
def web(environment: dict[str, str]) -> Iterator[ServerProcess]:
    server = ServerProcess(environment).wait()
    yield server
    server.stop()


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(*words: str) -> Process:
        log = tmp_path / f"{len(started)}.log"
        started.append(Process([*words, "--loglevel", "info"], environment, log))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait()


def test_every_process_is_back_soon_after_a_long_outage(
    postgres: Postgres, web: ServerProcess, start: Callable[..., Process]
) -> None:
    with httpx.Client(
        base_url=web.url, trust_env=False, timeout=30, follow_redirects=True
    ) as client:
        headers = {"Authorization": f"Bearer {SERVICE}"}
        body = {"amount": 1250, "currency": "EUR"}
        ref = client.post("/api/orders", json=body, headers=headers).json()["ref"]
        page = f"/orders/{ref}/?grant={access.issue_grant([ref])}"
        worker, beat = start(*command_line.WORKER), start(*command_line.BEAT)
        ticks = r"Task workers\.tasks\.reconcile\[[^]]+\] succeeded"
        eventually(lambda: worker.said(ticks), 60)

        postgres.stop()
        during = set()

        def has_tried_often() -> bool:
            during.add(client.get(page).status_code)
            tries = [len(re.findall(REFUSED, web.output())), worker.said(REFUSED)]
            return min(tries) >= TRIES

        eventually(has_tried_often, 30)
        postgres.start()
        before = worker.said(ticks)

        eventually(lambda: client.get(page).status_code == 200, BACK)
        eventually(lambda: worker.said(ticks) > before, BACK)
        enqueued = beat.said("enqueued workers.tasks.reconcile")
        eventually(lambda: beat.said("enqueued workers.tasks.reconcile") > enqueued, BACK)

    assert during <= {200, 503}
    assert 503 in during
    assert "Traceback" not in web.output()
