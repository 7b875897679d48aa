"""The parts of Ordercast as child processes in one terminal, by honcho, and what honcho leaves open.

Honcho forks itself for each part, which takes along whatever lock another thread holds at that moment, so that a part
may never start and nobody ever learns of it. It prints and kills inside a signal handler, forgets children whose pid it
does not know yet, waits for ever for one that does not stop, and does not say which part ended first. Here a part's
output is read by a thread, and a signal only leaves a mark, which honcho's loop finds within a tenth of a second. One
dead part still stops all of them.
"""

import queue
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from honcho import manager, process

from backend.up.child import start_reaper

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Part(process.Process):  # type: ignore[misc] # honcho has no types
    def start(self, events: "queue.Queue[Any]") -> tuple[int, threading.Thread]:
        """Returns its process, which leads a group of its own, and the thread that puts what it says into `events`."""
        child = process.Popen(self.cmd, env=self.env, cwd=self.cwd)
        self._child_ctor: Callable[..., Any] = lambda *_, **__: child
        reader = threading.Thread(target=self.run, args=(events,), name=self.name, daemon=True)
        reader.start()
        return child.pid, reader


class Stack(manager.Manager):  # type: ignore[misc] # honcho has no types
    """Runs until a signal comes or a part ends, and then stops the rest; at the second signal with SIGKILL."""

    def __init__(self, on_started: Callable[["Stack"], None]) -> None:
        """`on_started` runs in a thread of its own once every part has been started."""
        super().__init__()
        self.events: queue.Queue[Any] = queue.Queue()
        self._process_ctor = _Part
        self._watcher = threading.Thread(target=on_started, args=(self,), daemon=True)
        self._reaper: subprocess.Popen[bytes] | None = None
        self._first_signal_at = 0.0
        self._is_impatient = False
        self._is_killed = False
        self.died = ""  # what ended or failed without being asked, and how

    @property
    def is_stopping(self) -> bool:
        return bool(self._first_signal_at or self.died)

    def add(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        # exec: or the shell, and not the part, would get the signals and give the exit code.
        self.add_process(name, "exec " + shlex.join(command), env=dict(env))

    def fail(self, what: str) -> None:
        """Stop everything, because of `what`. From any thread."""
        self.died = self.died or what

    def run(self) -> None:
        """Start the parts, and return once all have stopped. Nothing is left, also if printing fails."""
        try:
            self.loop()
        finally:
            self._put_down()

    def _start(self) -> None:
        for number in SIGNALS:  # loop() has set its own just before
            signal.signal(number, self._mark)
        for part in self._processes.values():
            part["pid"], part["process"] = part["obj"].start(self.events)
        self._reaper = start_reaper(*(f"TERM:-{part['pid']}" for part in self._processes.values()))
        self._watcher.start()

    def _mark(self, *_: Any) -> None:
        now = time.monotonic()
        self._first_signal_at = self._first_signal_at or now
        # timeout(1) and others send to the process and to its group: the same signal twice is not impatience.
        self._is_impatient = now - self._first_signal_at > 0.5

    def _any_stopped(self) -> bool:
        for name, part in self._processes.items():
            if part.get("returncode") is not None and not self.is_stopping:
                self.died = f"{name} {_ending(part['returncode'])}"
        return self.is_stopping

    def _all_stopped(self) -> bool:
        if self._is_impatient and not self._is_killed:
            self._is_killed = True
            self.kill()
        return bool(super()._all_stopped())

    def _put_down(self) -> None:
        left = [part for part in self._processes.values() if "process" in part]
        deadline = time.monotonic() + manager.KILL_WAIT
        for end, until in ((self._procmgr.terminate, deadline), (self._procmgr.kill, deadline + 1)):
            running = [part for part in left if part["process"].is_alive()]
            for part in running:
                end(part["pid"])
            for part in running:
                part["process"].join(max(0.1, until - time.monotonic()))
        if self._watcher.is_alive():
            self._watcher.join(3)
        if self._reaper:
            self._reaper.kill()
            self._reaper.wait()


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
