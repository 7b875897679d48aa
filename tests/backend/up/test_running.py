import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.backend.up.starting import Up
from tests.processes import runs
from tests.waiting import eventually

pytestmark = pytest.mark.stack


def is_gone(processes: list[psutil.Process]) -> bool:
    return not any(map(runs, processes))


def test_everything_comes_up_stops_without_an_orphan_and_finds_its_data_again(data: Path) -> None:
    up = Up(data).wait_until_ready()
    family = up.family()
    names = {each.name() for each in family}
    first = re.findall(r"/orders/([0-9a-f]{32})/", up.output)

    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/health/ready") as answer:
        health = json.load(answer)
    assert (health["database"], health["valkey"]) == ("ok", "ok")
    assert {"postgres", "valkey-server"} <= names
    assert f"http://127.0.0.1:{up.port}/admin/" in up.output
    assert f"http://127.0.0.1:{up.sandbox_port}/" in up.output
    assert len(first) == 3

    assert up.stop() == 0
    assert is_gone(family)

    again = Up(data, "--without", "worker,beat,sandbox").wait_until_ready()
    assert re.findall(r"/orders/([0-9a-f]{32})/", again.output) == first
    assert again.stop(signal.SIGINT) == 0


def test_parts_that_are_left_out_do_not_run_and_a_second_start_on_the_same_data_is_refused(
    data: Path,
) -> None:
    up = Up(data, "--without", "web,worker,beat").wait_until_ready()

    second = Up(data)

    commands = " ".join(" ".join(each.cmdline()) for each in up.family())
    assert "orders.payments.sandbox" in commands
    assert "uvicorn" not in commands
    assert "celery" not in commands
    assert second.wait() == 1
    said = f"CommandError: another `manage.py up` (process {up.process.pid}) runs on {data}; "
    assert second.lines == [f"{said}stop it, or choose another folder with --data\n"]
    assert up.stop() == 0


def test_one_dead_part_stops_all_and_is_named(data: Path) -> None:
    up = Up(data, "--without", "web,worker,beat").wait_until_ready()
    family = up.family()
    sandbox = next(each for each in family if "orders.payments.sandbox" in each.cmdline())

    sandbox.kill()

    assert up.wait() == 1
    assert up.lines[-1] == "CommandError: stopped everything: sandbox was ended by SIGKILL\n"
    assert is_gone(family)


def test_a_dead_database_stops_all_and_is_named(data: Path) -> None:
    up = Up(data, "--without", "web,worker,beat").wait_until_ready()
    family = up.family()
    postgres = next(
        each
        for each in family
        if each.name() == "postgres" and str(data) in " ".join(each.cmdline())
    )

    postgres.kill()

    assert up.wait() == 1
    assert "stopped everything: PostgreSQL ended with exit code -9; see" in up.lines[-1]
    assert is_gone(family)


def test_nothing_outlives_it_even_when_it_is_killed(data: Path) -> None:
    up = Up(data, "--without", "web,worker,beat").wait_until_ready()
    family = up.family()

    up.process.kill()

    eventually(lambda: is_gone(family), 15, saying="all of its processes are gone")
    up.wait()


def test_a_second_signal_while_it_stops_leaves_nothing_either(data: Path) -> None:
    up = Up(data, "--without", "web,worker").wait_until_ready()
    family = up.family()

    up.process.send_signal(signal.SIGINT)
    up.process.send_signal(signal.SIGINT)
    assert up.stop(signal.SIGINT) == 0
    assert is_gone(family)


def test_a_part_starts_whatever_lock_a_thread_holds(tmp_path: Path) -> None:
    # kombu empties its pool of connections in a fork, and waits for the pool's lock, which nobody there will give back.
    script = """if True:
        import os, threading
        from backend.up.process_group import Stack
        held = threading.Lock()
        held.acquire()
        os.register_at_fork(after_in_child=held.acquire)
        stack = Stack(lambda _: None)
        stack.add("part", ["echo", "hello"], os.environ)
        stack.run()
        print(stack.died)
    """
    said = tmp_path / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=output, start_new_session=True
        )
    try:
        process.wait(60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    assert "part   | hello\n" in said.read_text()
    assert said.read_text().endswith("part ended with exit code 0\n")


class UpToItsFirstLine(Up):
    """Its reader goes after one line; what it says of that is on `stderr`."""

    stderr = subprocess.PIPE

    def _read(self) -> None:
        assert self.process.stdout
        self.lines.append(self.process.stdout.readline())
        self.process.stdout.close()


def test_what_nobody_reads_any_more_stops_and_says_so_in_one_line(data: Path) -> None:
    up = UpToItsFirstLine(data, "--without", "web,worker")
    family: list[psutil.Process] = eventually(up.family, 20)
    assert up.process.stderr
    with up.process.stderr:
        said = up.process.stderr.read()

    assert up.wait() == 1
    assert said.endswith("stopped everything: its output was closed\n"), said
    assert "Traceback" not in said
    assert is_gone(family)


def test_ctrl_c_before_it_is_ready_leaves_nothing(data: Path) -> None:
    up = Up(data)
    family: list[psutil.Process] = eventually(up.family, 20)

    assert up.stop(signal.SIGINT) in (0, -signal.SIGINT)

    eventually(lambda: is_gone(family), saying="all of its processes are gone")


def test_a_taken_port_is_one_line(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        up = Up(data, "--port", str(port))

        assert up.wait() == 1
    said = f"CommandError: web cannot listen on 127.0.0.1:{port}: Address already in use; "
    assert up.lines == [f"{said}choose another port with --port\n"]


def test_a_folder_that_cannot_be_used_is_one_line() -> None:
    up = Up(Path("/dev/null/data"))

    assert up.wait() == 1
    assert up.lines == [
        "CommandError: cannot write to /dev/null/data: Not a directory: /dev/null/data\n"
    ]


def test_an_unknown_part_is_refused_with_the_names_of_those_there_are(data: Path) -> None:
    up = Up(data, "--without", "web,wrker")

    assert up.wait() == 2
    assert "there is no part 'wrker'; the parts are web, worker, beat, sandbox" in up.output
