"""The parts of Ordercast as child processes in one terminal, by honcho, and what honcho leaves open.

Honcho prints and kills inside a signal handler, forgets children that have not told their number yet, waits for ever
for one that does not stop, and does not say which part ended first. Here a signal only leaves a mark, which honcho's
loop finds within a tenth of a second. One dead part still stops all of them.
"""

import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from honcho import manager

from backend.servers import start_reaper

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stack(manager.Manager):  # type: ignore[misc] # honcho has no types
    """Runs until a signal comes or a part ends, and then stops the rest; at the second signal with SIGKILL."""

    def __init__(self, on_started: Callable[["Stack"], None]) -> None:
        """`on_started` runs in a thread of its own once every part has been started."""
        super().__init__()
        self._on_started = on_started
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
        reapers: list[subprocess.Popen[bytes]] = []
        watcher = threading.Thread(target=self._when_started, args=(reapers,), daemon=True)
        try:
            watcher.start()
            self.loop()
        finally:
            self._put_down()
            watcher.join(3)
            for reaper in reapers:
                reaper.kill()
                reaper.wait()

    def _when_started(self, reapers: list[subprocess.Popen[bytes]]) -> None:
        while not (self._processes and self._all_started()):
            time.sleep(0.02)
        reapers.append(start_reaper(*(f"TERM:-{part['pid']}" for part in self._processes.values())))
        self._on_started(self)

    def _start(self) -> None:
        for number in SIGNALS:  # loop() has set its own just before
            signal.signal(number, self._mark)
        super()._start()

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
        for end, wait in ((self._procmgr.terminate, deadline), (self._procmgr.kill, deadline + 1)):
            for part in left:
                if part["process"].is_alive() and part.get("pid"):
                    end(part["pid"])
            for part in left:
                part["process"].join(
                    max(0.1, wait - time.monotonic()) if part["process"].is_alive() else 0
                )
        for part in left:
            with suppress(ValueError):
                part["process"].kill()


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
