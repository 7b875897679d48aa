"""Worker and beat live through every answer that a broker can give, and work again once it is well.

Each answer is a real Valkey's, but for those that it gives only while it loads a data set, or when it dies in the
middle of a word: a proxy gives these in its place.
"""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from backend.up import command_line, embedded
from tests.ports import free_port
from tests.proxy import Proxy
from tests.waiting import eventually
from workers import schedule

pytestmark = pytest.mark.stack
Valkey = Any  # a client of it; its types say that every answer may be awaitable


class Broker:
    """A Valkey of this test, the proxy before it, and an administrator's connection to it."""

    def __init__(self, port: int, proxy: Proxy, admin: Valkey, folder: Path) -> None:
        self.port, self.proxy, self.admin, self.folder = port, proxy, admin, folder

    def hang_up(self) -> None:
        """All connections but this one: what answers anew is met also by whoever connects anew."""
        self.admin.client_kill_filter(_type="normal", skipme=True)


@contextmanager
def read_only(broker: Broker) -> Iterator[None]:
    broker.admin.replicaof("127.0.0.1", broker.port + 1)
    yield
    broker.admin.replicaof("NO", "ONE")


@contextmanager
def master_down(broker: Broker) -> Iterator[None]:
    broker.admin.config_set("replica-serve-stale-data", "no")
    with read_only(broker):
        yield
    broker.admin.config_set("replica-serve-stale-data", "yes")


@contextmanager
def out_of_memory(broker: Broker) -> Iterator[None]:
    broker.admin.config_set("maxmemory", "1")
    yield
    broker.admin.config_set("maxmemory", "0")


@contextmanager
def wants_password(broker: Broker) -> Iterator[None]:
    broker.admin.config_set("requirepass", "secret")
    broker.hang_up()
    yield
    broker.admin.config_set("requirepass", "")


@contextmanager
def cannot_save(broker: Broker) -> Iterator[None]:
    """MISCONF: its last snapshot failed."""
    shutil.rmtree(broker.folder / "data" / "valkey")  # where it stands, and would write to
    broker.admin.config_set("save", "3600 1")
    broker.admin.bgsave()
    eventually(lambda: broker.admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    yield
    broker.admin.config_set("save", "")


@contextmanager
def busy(broker: Broker) -> Iterator[None]:
    """A script runs without end."""
    broker.admin.config_set("busy-reply-threshold", "1")

    def run() -> None:
        with suppress(redis.RedisError), redis.Redis(port=broker.port) as client:
            client.eval("while true do end", 0)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    broker.admin.script_kill()
    thread.join()


@contextmanager
def loading(broker: Broker) -> Iterator[None]:
    broker.proxy.answer_itself(b"-LOADING Valkey is loading the dataset in memory\r\n")
    yield
    broker.proxy.heal()


@contextmanager
def dies_in_the_middle_of_an_answer(broker: Broker) -> Iterator[None]:
    broker.proxy.answer_itself(b"*2\r\n$19\r\nordercast.ord")
    yield
    broker.proxy.heal()


ANSWERS = [
    read_only,
    master_down,
    out_of_memory,
    wants_password,
    cannot_save,
    busy,
    loading,
    dies_in_the_middle_of_an_answer,
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    port = free_port()
    valkey = embedded.start_valkey(tmp_path / "data", port=port)
    admin: Valkey = redis.Redis(port=port)
    with Proxy(port) as proxy, admin:
        admin.ping()
        yield Broker(port, proxy, admin, tmp_path)
    valkey.stop()


@pytest.fixture
def environment(
    child_environment: dict[str, str], broker: Broker, database: None
) -> dict[str, str]:
    schedule.install()
    PeriodicTask.objects.exclude(name=schedule.RECONCILE).delete()
    task = PeriodicTask.objects.get(name=schedule.RECONCILE)
    task.interval.every = 1
    task.interval.save()
    PeriodicTasks.update_changed()
    url = f"redis://127.0.0.1:{broker.proxy.port}/0"
    return {**child_environment, "VALKEY_URL": url, "ORDERCAST_VALKEY_URL": url}


class Processes:
    """A worker and a beat that has a task for it each second."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._logs = {name: folder / f"{name}.log" for name in ("worker", "beat")}
        self._processes = {}
        for name, command in (("worker", command_line.WORKER), ("beat", command_line.BEAT)):
            with self._logs[name].open("wb") as output:
                self._processes[name] = subprocess.Popen(
                    [sys.executable, *command, "--loglevel", "info"],
                    env=environment, stdout=output, stderr=output,
                )  # fmt: skip

    def done(self) -> int:
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} ended:\n{self.log(name)[-3000:]}"
        return self.log("worker").count(" succeeded in ")

    def log(self, name: str) -> str:
        return self._logs[name].read_text()

    def complaints(self) -> int:
        """Lines about a broker that is not well, of both: there are answers that only who writes gets."""
        return sum(
            sum(self.log(name).count(word) for word in words)
            for name, words in {
                "worker": ("Trying to reconnect", "Trying again", "Cannot connect", "Connection to broker lost"),
                "beat": ("Message Error", "Connection error", "broker unavailable"),
            }.items()
        )  # fmt: skip

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            assert process.wait(30) in {0, -15}


@pytest.fixture
def processes(environment: dict[str, str], tmp_path: Path) -> Iterator[Processes]:
    running = Processes(environment, tmp_path)
    yield running
    running.stop()


@pytest.mark.parametrize("answers", ANSWERS)
def test_worker_and_beat_live_through_it(
    broker: Broker, processes: Processes, answers: Any
) -> None:
    eventually(lambda: processes.done() > 0, 60, saying="a first task is done")
    before = processes.complaints()

    with answers(broker):
        eventually(lambda: processes.done() and processes.complaints() > before, 30)

    before = processes.done()
    eventually(lambda: processes.done() > before + 1, 60, saying="tasks are done again")


@pytest.mark.parametrize("answers", ANSWERS)
def test_worker_and_beat_start_while_it_lasts(
    broker: Broker, environment: dict[str, str], tmp_path: Path, answers: Any
) -> None:
    with answers(broker):
        processes = Processes(environment, tmp_path)
        eventually(lambda: processes.done() == 0 and processes.complaints() > 0, 60)

    eventually(lambda: processes.done() > 0, 60, saying="tasks are done")
    processes.stop()


# What web processes and tasks do with Valkey, beside the broker. Each must go on without it.
USES = """
import django
django.setup()
from backend.http import health
from orders.security import rate_limits
from realtime.pubsub import publisher
from realtime.pubsub.names import Hint
from workers import announcer, clock_skew, provider_status, refresh_jobs
from workers.guard import Guard
from workers.reconciler import Tick

hint = Hint("0" * 32, "spring", 1, "{}").signed()
for use in (
    lambda: rate_limits.admit(rate_limits.LimitScope.API, "somebody"),
    lambda: rate_limits._share("somebody/1", 60, 1),
    lambda: rate_limits._seconds_left(rate_limits._rate("10/minute"), "api", ("somebody",)),
    lambda: Guard("house").allowance(1),
    lambda: Guard("house").report("unavailable"),
    lambda: provider_status.note_tick(Tick()),
    provider_status.parts,
    lambda: clock_skew.report("worker", 20.0),
    lambda: publisher.announce([hint]),
    lambda: announcer.put(hint),
    lambda: refresh_jobs.enqueue(1),
    health._valkey,
):
    use()
print("lives")
"""


@pytest.mark.parametrize("answers", ANSWERS)
def test_web_and_tasks_go_on_without_it(
    broker: Broker, environment: dict[str, str], answers: Any
) -> None:
    with answers(broker):
        done = subprocess.run(
            [sys.executable, "-c", USES],
            env={**environment, "DJANGO_SETTINGS_MODULE": "backend.settings"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert done.stdout.strip() == "lives", done.stderr[-3000:]
