"""`manage.py up` as a person starts it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from tests.ports import free_port
from tests.waiting import eventually

READY = "Ordercast is ready"


class Up:
    """`manage.py up` as a person starts it: on free ports, in an environment that says nothing."""

    stderr = subprocess.STDOUT

    def __init__(self, data: Path, *arguments: str, **environment: str) -> None:
        self.port, self.sandbox_port = free_port(), free_port()
        ports = ("--port", str(self.port), "--sandbox-port", str(self.sandbox_port))
        ours = ("ORDERCAST_", "DATABASE_URL", "VALKEY_URL", "DJANGO_")
        bare = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--data", str(data), *ports, *arguments],
            env={**bare, **environment},
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        self.lines.extend(iter(self.process.stdout.readline, ""))
        self.process.stdout.close()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_until_ready(self) -> "Up":
        eventually(lambda: READY in self.output or self.process.poll() is not None, 60)
        assert READY in self.output, self.output
        return self

    def family(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(30)
        self._reader.join(5)
        return code
