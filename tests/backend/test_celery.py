import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from backend.up import command_line, embedded
from tests.ports import free_port
from tests.proxy import Proxy
from tests.waiting import eventually

pytestmark = pytest.mark.stack
ENQUEUE = "from celery import current_app as app; app.send_task('workers.tasks.reconcile')"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def proxy(port: int) -> Iterator[Proxy]:
    with Proxy(port) as proxy:
        yield proxy


@pytest.fixture
def environment(child_environment: dict[str, str], proxy: Proxy) -> dict[str, str]:
    """Processes of this test reach a Valkey of its own, through the proxy."""
    return {**child_environment, "VALKEY_URL": f"redis://127.0.0.1:{proxy.port}/0"}


class Worker:
    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command_line.WORKER, "--loglevel", "info"],
                env=environment,
                stdout=output,
                stderr=output,
            )

    def says(self, pattern: str) -> int:
        return len(re.findall(pattern, self._log.read_text()))

    def is_ready(self) -> bool:
        return self.says(r"\bready\.") > 0

    def does_a_task(self) -> bool:
        """Enqueue one, and see one more done."""
        before = self.says("succeeded")
        enqueued = subprocess.run(
            [sys.executable, "-c", f"import backend.celery; {ENQUEUE}"],
            env=self._environment,
            check=False,
        )
        assert enqueued.returncode == 0
        return eventually(
            lambda: self.says("succeeded") > before, 40, saying="the worker does a task"
        )


@pytest.fixture
def worker(environment: dict[str, str], tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(environment, tmp_path / "worker.log")
    yield worker
    worker.process.terminate()
    assert worker.process.wait(20) == 0


def test_a_worker_comes_back_after_valkey_was_killed_and_started_empty(
    worker: Worker, port: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("valkey")
    valkey = embedded.start_valkey(data, port=port)
    eventually(worker.is_ready, 20)
    assert worker.does_a_task()

    valkey.process.kill()
    valkey.stop()
    eventually(lambda: worker.says("Connection to broker lost"))
    valkey = embedded.start_valkey(data, port=port)

    assert worker.does_a_task()
    valkey.stop()


def test_a_worker_comes_back_after_its_connection_went_silent(
    worker: Worker, port: int, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    valkey = embedded.start_valkey(tmp_path_factory.mktemp("valkey"), port=port)
    eventually(worker.is_ready, 20)
    with redis.Redis(port=port) as client:
        eventually(lambda: client.client_list(_type="normal"))

        proxy.is_black_hole = True
        eventually(lambda: worker.says("dropping stale connection"), 15)
        proxy.heal()

        assert worker.does_a_task()
    valkey.stop()
