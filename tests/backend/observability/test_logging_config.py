"""One id finds the whole way of an event, through web, worker and beat; and an outage is a line, not a page."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu.exceptions
import pytest
import redis
import structlog
from django.utils import timezone
from pytest_django import Settings

from backend.observability.log_filters import Announcements, ClientErrors, Outages
from backend.up import command_line
from orders.models import Order
from orders.schedule.profiles import PROFILES, Profile
from tests.builders import a_payment, an_order
from tests.waiting import eventually
from workers import schedule

REQUEST = "a-request-of-this-test"


class Logs:
    """What the processes have written so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def lines(self, process: str, **facts: Any) -> list[dict[str, Any]]:
        """Those of one process with these facts; `message` is how a line begins."""
        begins = facts.pop("message", "")
        text = (self._folder / process).read_text()
        found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [
            line
            for line in found
            if line["message"].startswith(begins)
            and all(line.get(name) == value for name, value in facts.items())
        ]

    def line(self, process: str, **facts: Any) -> dict[str, Any]:
        return eventually(lambda: self.lines(process, **facts), 40, saying=f"{process}: {facts}")[0]

    def announcement_of(self, event_id: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            said = self.lines("worker", message="announcing")
            return [line for line in said if event_id in line["event_ids"]]

        return eventually(found, 40, saying=f"{event_id} was announced")[0]


@pytest.fixture
def logs(
    child_environment: dict[str, str],
    database: None,
    valkey: redis.Redis,
    settings: Settings,
    tmp_path: Path,
) -> Iterator[Logs]:
    """A worker, and a beat that ticks each second."""
    settings.ORDERCAST_TICK_SECONDS = 1
    schedule.install()
    environment = {**child_environment, "ORDERCAST_LOG_FORMAT": "json"}
    started = []
    for name, command in {"worker": command_line.WORKER, "beat": command_line.BEAT}.items():
        with (tmp_path / name).open("wb") as output:
            started.append(
                subprocess.Popen(
                    [sys.executable, *command], env=environment, stdout=output, stderr=output
                )
            )
    yield Logs(tmp_path)
    for process in started:
        process.terminate()
        process.wait(20)


@pytest.mark.stack
def test_one_id_finds_the_way_of_an_event_through_web_worker_and_beat(logs: Logs) -> None:
    with structlog.contextvars.bound_contextvars(request_id=REQUEST):
        order = an_order()  # as in a web process
    assert logs.announcement_of(f"{order.ref}:1")["caused_by"] == [REQUEST]

    # The next tick finds both: one in the worker's own thread, one in a thread that asks providers.
    due: dict[str, Any] = {"next_check_at": timezone.now(), "step": len(PROFILES[Profile.UNKNOWN])}
    a_payment(an_order(), provider="gone", **due)
    Order.objects.filter(pk=order.pk).update(expires_at=timezone.now())

    for event in ("order.expired", "order.flagged"):
        recorded = logs.line("worker", message=f"recorded {event}")
        tick = recorded["task_id"]
        assert logs.line("beat", message="enqueued workers.tasks.reconcile", task_id=tick)
        assert tick in logs.announcement_of(recorded["event_id"])["caused_by"]
    assert not logs.lines("worker", logger="celery.worker.strategy", message="Task workers.tasks.a")


def record(name: str, error: BaseException | None, message: str = "failed") -> logging.LogRecord:
    exc_info = (type(error), error, None) if error else None
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, (), exc_info)


def wrapped(error: BaseException) -> BaseException:
    outer = RuntimeError("cannot apply the task")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("refused"),
        wrapped(kombu.exceptions.OperationalError("refused")),
        wrapped(redis.TimeoutError("silent")),
    ],
    ids=str,
)
def test_an_outage_that_a_library_tells_of_is_one_line_and_said_once_in_a_while(
    error: BaseException,
) -> None:
    outages = Outages()
    first, second = (record("celery.beat", error, "Message Error:\nstack") for _ in range(2))

    assert [outages.filter(first), outages.filter(second)] == [True, False]
    assert (first.levelname, first.exc_info) == ("WARNING", None)
    assert first.getMessage() == f"Message Error: {error!r}"


def test_an_error_whose_words_stand_in_the_message_is_not_said_twice() -> None:
    said = record("celery.beat", redis.ConnectionError("refused"), "Message Error: refused\nstack")

    assert Outages().filter(said)
    assert said.getMessage() == "Message Error: refused"


@pytest.mark.parametrize(
    ("name", "error"),
    [("celery.beat", ValueError("a defect")), ("workers.reconciler", redis.ConnectionError())],
)
def test_what_is_no_outage_or_none_of_a_librarys_keeps_its_traceback(
    name: str, error: BaseException
) -> None:
    outages = Outages()
    records = [record(name, error) for _ in range(2)]

    assert all(outages.filter(each) for each in records)
    assert all(each.exc_info for each in records)


def test_a_task_that_announces_is_not_told_of_twice_unless_it_fails() -> None:
    announcements = Announcements()
    done, failed, other = (record("celery.app.trace", None) for _ in range(3))
    for each, name in ((done, "announce"), (failed, "announce"), (other, "reconcile")):
        each.data = {"name": f"workers.tasks.{name}"}
    done.levelno = other.levelno = logging.INFO

    assert [announcements.filter(each) for each in (done, failed, other)] == [False, True, True]


def test_what_a_client_did_wrong_is_a_line_and_no_traceback() -> None:
    suspicious = record("django.security.DisallowedRedirect", ValueError("too long"), "refused")
    defect = record("django.request", ValueError("a defect"))

    assert all(ClientErrors().filter(each) for each in (suspicious, defect))
    assert (suspicious.levelname, suspicious.exc_info) == ("WARNING", None)
    assert (defect.levelname, defect.exc_info is None) == ("ERROR", False)
