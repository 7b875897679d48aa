"""The processes: two web processes, a worker, a beat, a sandbox, PostgreSQL and Valkey. Each can die and be born again.

Whatever ends the harness, kill -9 too, none of them stays: each has a reaper.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import psutil

from backend.http import healthcheck
from backend.up import child, embedded, running
from tests.sandbox import ROOT, SandboxProcess
from tests.skew import skewed
from tests.waiting import eventually_async

READY_WITHIN = 120.0  # seconds


class Mortal(Protocol):
    async def start(self) -> None: ...

    async def kill(self, manner: str) -> None: ...

    def close(self) -> None: ...


class Process:
    """A part that is a Python process of ours."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._command, self._log = command, log
        self._environment = {**os.environ, **environment}
        self.skew = 0.0  # seconds that its clock is ahead, from its next start on
        self.ended_by_itself = 0  # times
        self.last_words = ""
        self._popen: subprocess.Popen[bytes] | None = None
        self._reaper: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with self._log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: ASYNC220 — it returns at once
                self._command,
                cwd=ROOT,
                env=skewed(self._environment, self.skew) if self.skew else self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._reaper = child.start_reaper(f"KILL:{self._popen.pid}")

    async def kill(self, manner: str) -> None:  # noqa: ARG002 — there is one manner
        self.look()
        self.close()

    def look(self) -> None:
        """Count it if it has ended by itself, which no trouble may bring it to."""
        code = None if self._popen is None else self._popen.poll()
        if code is not None:
            self.ended_by_itself += 1
            words = self._log.read_text(errors="replace")[-2_000:]
            self.last_words = f"exit code {code}; {words}"

    def close(self) -> None:
        for each in (self._popen, self._reaper):
            if each is not None:
                each.kill()
                each.wait()


class Web(Process):
    def __init__(
        self, command: list[str], environment: Mapping[str, str], log: Path, port: int
    ) -> None:
        super().__init__(command, environment, log)
        self.port = port

    def answers(self) -> bool:
        return healthcheck.answers(f"http://127.0.0.1:{self.port}/health/ready")


class Embedded:
    """PostgreSQL or Valkey. `outages` are the spans in which it was not there, as wall-clock seconds."""

    def __init__(self, begin: Callable[[], child.Server]) -> None:
        self._begin = begin
        self._server: child.Server | None = None
        self.outages: list[tuple[float, float]] = []
        self._died_at = 0.0

    async def start(self) -> None:
        self._server = await asyncio.to_thread(self._insist)
        if self._died_at:
            self.outages.append((self._died_at, time.time()))
            self._died_at = 0.0

    async def kill(self, manner: str = "kill") -> None:
        self._died_at = time.time()
        assert self._server is not None
        process = self._server.process
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGQUIT if manner == "immediate" else signal.SIGKILL)
        if manner == "kill":
            # All of it, as when a machine dies: orphans would go on with what they had begun.
            for orphan in children:
                with suppress(psutil.NoSuchProcess):
                    orphan.kill()
        await asyncio.to_thread(process.wait)
        self.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()

    def _insist(self) -> child.Server:
        """What was killed may hold its shared memory for a moment yet."""
        for _ in range(20):
            with suppress(child.EmbeddedError):
                return self._begin()
            time.sleep(0.1)
        return self._begin()


class Town:
    """Everything that runs. The environment has been set before (`ground`): importing this reads the settings."""

    def __init__(self, data: Path, ports: tuple[int, int], sandbox: SandboxProcess) -> None:
        self.sandbox = sandbox
        self._reaper = child.start_reaper(f"KILL:{sandbox.process.pid}", remove=data)
        options = {"host": "127.0.0.1", "port": 0, "sandbox_port": 0}
        self.webs = [
            Web(
                running._command("web", {**options, "port": port}),
                {},
                data / f"web_{number}.out",
                port,
            )
            for number, port in enumerate(ports, 1)
        ]
        worker = {"DJANGO_SETTINGS_MODULE": "tests.chaos.worker_settings"}
        self.postgres = Embedded(lambda: embedded.start_postgres(data))
        self.valkey = Embedded(lambda: embedded.start_valkey(data))
        self.worker = Process(running._command("worker", options), worker, data / "worker.out")
        self.parts: dict[str, Mortal] = {
            "postgres": self.postgres,
            "valkey": self.valkey,
            "web_1": self.webs[0],
            "web_2": self.webs[1],
            "worker": self.worker,
            "beat": Process(running._command("beat", options), {}, data / "beat.out"),
        }

    async def start(self, *names: str) -> None:
        for name in names:
            await self.parts[name].start()

    async def webs_answer(self) -> None:
        """Raises `AssertionError` if they do not."""
        for web in self.webs:
            answers = partial(asyncio.to_thread, web.answers)
            _: bool = await eventually_async(answers, READY_WITHIN)

    def ended_by_themselves(self) -> dict[str, int]:
        """How often each part did that nobody killed."""
        processes = {name: each for name, each in self.parts.items() if isinstance(each, Process)}
        for name, each in processes.items():
            each.look()
            if each.last_words:
                print(f"{name} ended by itself: {each.last_words}", flush=True)
        return {
            name: each.ended_by_itself for name, each in processes.items() if each.ended_by_itself
        }

    def close(self) -> None:
        for name in reversed(self.parts):
            self.parts[name].close()
        self._reaper.kill()
        self._reaper.wait()
        self.sandbox.close()
