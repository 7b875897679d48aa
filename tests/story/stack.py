"""A whole Ordercast as processes, by `manage.py up`, on free ports and in a folder of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from backend.up.child import start_reaper
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90  # seconds until it is ready


class StackDidNotStart(Exception):
    """`manage.py up` ended or was not ready in time; the message is the end of what it printed."""


@dataclass
class Stack:
    url: str
    sandbox_url: str
    process: subprocess.Popen[bytes]
    log: Path
    environment: dict[str, str]
    seconds: float


@contextmanager
def started_stack(*options: str, **environment: str) -> Iterator[Stack]:
    """A running stack with short check delays; stopped at the end, its data gone.

    `options` are for `manage.py up` (`--without worker`), `environment` goes over the variables of this process.
    """
    with tempfile.TemporaryDirectory(
        prefix="ordercast-story-", ignore_cleanup_errors=True
    ) as folder:
        data = Path(folder) / "data"
        port, sandbox_port = free_port(), free_port()
        settings = {
            **{k: v for k, v in os.environ.items() if not k.startswith("ORDERCAST_")},
            "ORDERCAST_DEMO": "true",
            "ORDERCAST_DATA": str(data),
            "ORDERCAST_CHECK_TIME_SCALE": "0.1",
            "ORDERCAST_TICK_SECONDS": "1",
            **environment,
        }
        for name in ("DATABASE_URL", "VALKEY_URL", "DJANGO_SETTINGS_MODULE"):
            if name not in environment:
                settings.pop(name, None)
        log = Path(folder) / "log"
        command = [sys.executable, "manage.py", "up", "--port", str(port)]
        command += ["--sandbox-port", str(sandbox_port), "--data", str(data), *options]
        began = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=settings, stdout=output, stderr=subprocess.STDOUT
            )
        # Should this process be killed, everything goes too: `up` stops its parts on SIGTERM.
        reaper = start_reaper(f"TERM:{process.pid}", remove=Path(folder))
        stack = Stack(
            f"http://127.0.0.1:{port}",
            f"http://127.0.0.1:{sandbox_port}",
            process,
            log,
            settings,
            0.0,
        )
        try:
            _wait_until_ready(stack)
            stack.seconds = time.monotonic() - began
            yield stack
        finally:
            stop(process)
            reaper.kill()
            reaper.wait()


def stop(process: subprocess.Popen[bytes], patience: float = 30) -> int:
    """End it as a person would; kill it only if it does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _wait_until_ready(stack: Stack) -> None:
    """Ready is when `up` says so: the words stand in its output once every part answers."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if stack.process.poll() is not None:
            raise StackDidNotStart(stack.log.read_text(errors="replace")[-2_000:])
        if "Ordercast is ready" in stack.log.read_text(errors="replace"):
            httpx.get(f"{stack.url}/health/live", trust_env=False).raise_for_status()
            return
        time.sleep(0.1)
    raise StackDidNotStart(
        f"not ready after {PATIENCE} s: {stack.log.read_text(errors='replace')[-2_000:]}"
    )
