"""`manage.py watch`: an order followed in a terminal, through a server that goes and comes back."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orders import access
from orders.models import Order
from tests.realtime.conftest import _grow
from tests.realtime.serving import ServerProcess
from tests.waiting import eventually

Start = Callable[..., ServerProcess]


@pytest.fixture
def watch(
    child_environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], Callable[[], str]]]]:
    """Starts it; returns the process, and what it has printed by now."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> tuple[subprocess.Popen[bytes], Callable[[], str]]:
        said = tmp_path / f"said-{len(started)}"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "watch", *words],
                env=child_environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return process, said.read_text

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_it_prints_each_version_once_also_when_the_server_was_away(
    start_process: Start, order: Order, watch: Callable[..., Any]
) -> None:
    server = start_process()
    server.wait()
    process, said = watch(order.ref, "--url", server.url)
    eventually(lambda: "in step at version 1: created" in said(), 20)
    _grow(order.ref, 1)
    eventually(lambda: re.search(r"^ +2  ", said(), re.MULTILINE), 10, saying="version 2 came")

    server.process.kill()
    server.process.wait()
    _grow(order.ref, 1)
    eventually(lambda: "connecting again" in said(), 10)
    server.start()
    server.wait()

    eventually(lambda: "in step at version 3" in said(), 20)
    assert [int(version) for version in re.findall(r"^ +(\d+)  ", said(), re.MULTILINE)] == [2, 3]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert "Traceback" not in said()


def test_what_is_not_there_or_not_ones_own_ends_it_with_a_reason(
    start_process: Start, order: Order, watch: Callable[..., Any]
) -> None:
    server = start_process()
    server.wait()
    grant = access.issue_grant([order.ref])

    nobodys, said = watch("0" * 32, "--url", server.url)
    strangers, told = watch("0" * 32, "--url", server.url, "--token", grant)

    assert nobodys.wait(20) == strangers.wait(20) == 1
    for lines in (said(), told()):
        assert re.search(
            r"^CommandError: (closed with 4003|refused with 4\d\d)", lines, re.MULTILINE
        ), lines
