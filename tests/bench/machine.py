"""The machine's part of a bench: which core is whose, the processes, and what they cost."""

import base64
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from backend.up import child, embedded
from tests.ports import free_port
from tests.story.stack import ROOT

__all__ = [
    "PYTHON",
    "ROOT",
    "NotReady",
    "Process",
    "free_port",
    "load_on_its_core",
    "servers_started",
]

PYTHON = sys.executable
WEBHOOK_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
_CAN_PIN = hasattr(os, "sched_setaffinity")
_CORES = sorted(os.sched_getaffinity(0)) if _CAN_PIN else [0]
SERVER_CORE, LOAD_CORES = _CORES[0], set(_CORES[1:] or _CORES)


def load_on_its_core() -> None:
    """From now on this process, and whatever it starts, keeps off the core of the server that is measured."""
    if _CAN_PIN:
        os.sched_setaffinity(0, LOAD_CORES)


class NotReady(Exception):
    """A process ended, or did nothing in time, and the message is what it said; or a setting makes no sense."""


def given(name: str, default: float = 0) -> float:
    """A number from the environment. Raises `NotReady` for what is none."""
    text = os.environ.get(name, "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = 0
    if text and not number > 0:
        raise NotReady(f"{name}={text}: a number above 0 is needed")
    return number


class Process:
    """A process that a bench started. `is_measured`: it has the server's core for itself."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, is_measured: bool = False
    ) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 — as long as the process
        with _placed(is_measured=is_measured):
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal reaches the bench, which stops its processes in order.
                start_new_session=True,
            )
        # Should the bench be killed, its processes go too.
        self._reaper = child.start_reaper(f"TERM:{self._popen.pid}")
        self._view = psutil.Process(self._popen.pid)

    def cpu_seconds(self) -> float:
        times = self._view.cpu_times()
        return float(times.user + times.system)

    def rss(self) -> int:
        """Bytes in memory, of all that the process holds."""
        return int(self._view.memory_info().rss)

    def wait_for_port(self, port: int, patience: float = 30.0) -> None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and self._popen.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.02)
        raise NotReady(f"{self._popen.args!r} is not ready; it said: {self.said()}")

    def said(self) -> str:
        """The end of what it wrote."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2_000:]

    def close(self) -> None:
        """End it at once: what it holds is worth nothing any more."""
        self._popen.kill()
        self._popen.wait()
        self._reaper.kill()
        self._reaper.wait()
        self.log.close()


@contextmanager
def _placed(*, is_measured: bool) -> Iterator[None]:
    """A child inherits the cores that its parent may use when it is forked, and so do its threads."""
    if not (_CAN_PIN and is_measured):
        yield
        return
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, LOAD_CORES)


@contextmanager
def servers_started() -> Iterator[Path]:
    """A PostgreSQL (that syncs, as in earnest) and a Valkey for one run, named in the environment."""
    with tempfile.TemporaryDirectory(prefix="ordercast-bench-") as folder:
        data = Path(folder)
        running = []
        try:
            running.append(embedded.start_postgres(data))
            running.append(embedded.start_valkey(data))
            for name in [name for name in os.environ if name.startswith("ORDERCAST_")]:
                del os.environ[name]
            os.environ |= {
                "DJANGO_SETTINGS_MODULE": "backend.settings",
                "ORDERCAST_DEMO": "true",
                "ORDERCAST_DATA": folder,
                "ORDERCAST_LOG_LEVEL": "WARNING",
                "ORDERCAST_HOUSE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
                # All pages of a bench come from one address.
                **{
                    f"ORDERCAST_CONNECTIONS_PER_{of}": "1000000"
                    for of in ("GRANT", "USER", "ADDRESS")
                },
                "ORDERCAST_LIMIT_ORDERS": "100000000/minute",
                "DATABASE_URL": embedded.database_url(data),
                "VALKEY_URL": embedded.valkey_url(data),
            }
            yield data
        finally:
            for server in reversed(running):
                server.stop()
