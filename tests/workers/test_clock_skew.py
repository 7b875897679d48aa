"""Workers and beat whose machines' clocks are wrong: everything goes on, and it is said."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from pytest_django import Settings

from backend.up import command_line
from orders.models import Order, Payment
from tests.sandbox import SandboxProcess
from tests.skew import skewed
from tests.waiting import eventually
from tests.workers.conftest import begun, make_due
from workers import announcer, clock_skew, schedule
from workers.guard import FAILURES, Allowance, Guard

pytestmark = pytest.mark.stack
Environment = dict[str, str]


@pytest.fixture
def environment(child_environment: Environment, provider: SandboxProcess) -> Environment:
    """Processes of this test ask the test's provider."""
    return {
        **child_environment,
        "ORDERCAST_HOUSE_URL": provider.url,
        "ORDERCAST_HOUSE_KEY": provider.key,
        "ORDERCAST_LOG_LEVEL": "INFO",
    }


@contextmanager
def running(command: Sequence[str], environment: Environment, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def a_tick_each_second() -> None:
    """As an installation has it that was made before ticks no longer expired."""
    schedule.install()
    task = PeriodicTask.objects.get(name=schedule.RECONCILE)
    task.interval.every = 1
    task.interval.save()
    task.expire_seconds = 1
    task.save()
    PeriodicTasks.update_changed()


@pytest.mark.parametrize(("of_worker", "of_beat"), [(20, 0), (-20, 0), (3600, -20), (0, 3600)])
def test_payments_are_checked_and_orders_do_not_expire_early(
    environment: Environment, tmp_path: Path, of_worker: int, of_beat: int
) -> None:
    a_tick_each_second()
    order, payment = begun()
    late = Order.objects.filter(pk=order.pk)
    late.update(expires_at=timezone.now() + timedelta(minutes=30))
    make_due(payment)
    before = looks_at(payment)

    beat = running(command_line.BEAT, skewed(environment, of_beat), tmp_path / "beat.log")
    worker = running(command_line.WORKER, skewed(environment, of_worker), tmp_path / "worker.log")
    with beat, worker:
        eventually(lambda: looks_at(payment) > before, 40, saying="the payment is checked")

        assert late.get().state == "awaiting_payment"
        for name, skew in (("worker", of_worker), ("beat", of_beat)):
            if skew:
                log = tmp_path / f"{name}.log"
                eventually(lambda log=log: "clock skew" in log.read_text(), 20)  # type: ignore[misc] # it has a default
        said = {part.name.split()[0]: part.is_well for part in clock_skew.parts()}
    assert said == {"worker": of_worker == 0, "beat": of_beat == 0}


def looks_at(payment: Payment) -> int:
    return payment.checks.count()


def test_hints_reach_pages_by_a_worker_whose_clock_is_wrong(
    environment: Environment, tmp_path: Path, valkey: "redis.Redis"
) -> None:
    with (
        running(command_line.WORKER, skewed(environment, 3600), tmp_path / "worker.log"),
        cast("Any", valkey).pubsub(ignore_subscribe_messages=True) as pages,
    ):
        pages.psubscribe("ordercast*order.*")
        begun()

        eventually(lambda: pages.get_message(timeout=0.1), 40, saying="a hint was published")


def test_a_hint_that_waited_for_long_is_not_worth_sending() -> None:
    now = timezone.now().timestamp()

    assert announcer.is_stale(now - 2 * announcer.STALE)
    assert not announcer.is_stale(now - announcer.STALE / 2)
    assert not announcer.is_stale(now + 3600)
    assert not announcer.is_stale(None)  # of a version that did not say


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_breaker_that_another_machine_opened_stands_for_its_pause(
    environment: Environment, settings: Settings, skew: int
) -> None:
    scale = 10  # a pause of five minutes, which no process needs to start
    settings.ORDERCAST_CHECK_TIME_SCALE = scale
    theirs = {
        **skewed(environment, skew),
        "DJANGO_SETTINGS_MODULE": "backend.settings",
        "ORDERCAST_CHECK_TIME_SCALE": str(scale),
    }

    def printed(code: str) -> str:
        command = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
        return subprocess.check_output(command, env=theirs, text=True).strip()

    printed(
        "from workers.guard import Guard\n"
        f"for _ in range({FAILURES}): Guard('house').report('unavailable')"
    )

    assert printed("from workers.guard import Guard; print(Guard('house').allowance(7))") == str(
        Allowance(0, None)
    )
    assert Guard("house").is_open()
    assert Guard("house").allowance(7).questions == 0


def test_beat_does_not_wait_for_a_time_that_a_wrong_clock_wrote_down(
    environment: Environment, tmp_path: Path
) -> None:
    schedule.install()
    PeriodicTask.objects.update(last_run_at=timezone.now() + timedelta(hours=5))
    PeriodicTasks.update_changed()

    with running(command_line.BEAT, environment, tmp_path / "beat.log"):
        eventually(
            lambda: "workers.tasks.reconcile" in (tmp_path / "beat.log").read_text(), 40,
            saying="beat sends a tick",
        )  # fmt: skip
