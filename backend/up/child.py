"""A server process of our own: started in a session of its own, waited for, stopped in order, and never orphaned."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT = 30.0  # seconds; recovery after a crash is part of a start


class EmbeddedError(Exception):
    """An embedded server cannot be started; the message is one line for the person who tried."""


@dataclass
class Server:
    """A running server, and the reaper that stops it should we be killed."""

    name: str
    process: subprocess.Popen[bytes]
    reaper: subprocess.Popen[bytes]
    stop_signals: tuple[signal.Signals, ...]
    log: Path

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, timeout: float = 10.0) -> None:
        """Stop it in order, then less so, and at last with SIGKILL. Harmless when it has stopped."""
        for number in (*self.stop_signals, signal.SIGKILL):
            if not self.is_alive():
                break
            self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        self.reaper.kill()
        self.reaper.wait()


def start_reaper(*targets: str, remove: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a process that sends each of `targets` ("TERM:1234") its signal once we are gone."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))]
    command += [*(["--remove", str(remove)] if remove else []), str(os.getpid()), *targets]
    return subprocess.Popen(  # noqa: S603 — our own words
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def make_folder(folder: Path) -> None:
    """Make a folder for us alone. One that belongs to somebody else is an error, unless we are root."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "Not a folder", str(folder))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid() != 0:
        raise PermissionError(errno.EPERM, "It belongs to another user", str(folder))


def clean_environment() -> dict[str, str]:
    # A locale that the machine lacks stops PostgreSQL; PGPORT and its like would change what we ask for.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def stop_leftover(folder: Path, pid_file: str, number: signal.Signals) -> None:
    """Stop what an earlier run left in `folder`, and remove its pid file if it lies.

    After a kill -9 the number in it may by now be anybody's, and PostgreSQL would refuse to start.
    """
    import psutil

    path = folder / pid_file
    if not path.exists():
        return
    with suppress(psutil.Error, ValueError, IndexError):
        process = psutil.Process(int(path.read_text().split()[0]))
        if Path(process.cwd()) == folder.resolve():
            process.send_signal(number)
            process.wait(START_TIMEOUT)
    path.unlink(missing_ok=True)


def launch(name: str, command: list[str], folder: Path, *stop_signals: signal.Signals) -> Server:
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 — our own words
            command,
            cwd=folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    reaper = start_reaper(f"{stop_signals[0].name.removeprefix('SIG')}:{process.pid}")
    return Server(name, process, reaper, stop_signals, log)


def wait_until_ready(server: Server, is_ready: Callable[[], bool]) -> None:
    try:
        _poll(server, is_ready, time.monotonic() + START_TIMEOUT)
    except BaseException:  # Ctrl-C too: whoever called has no handle to stop it by
        server.stop()
        raise


def _poll(server: Server, is_ready: Callable[[], bool], deadline: float) -> None:
    while not is_ready():
        if not server.is_alive():
            raise EmbeddedError(f"{server.name} did not start: {reason(server.log.read_bytes())}")
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{server.name} was not ready in {START_TIMEOUT:.0f} s; see {server.log}"
            )
        time.sleep(0.02)


def reason(output: bytes) -> str:
    """The line of a server's output that names the error."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    pattern = re.compile(
        r"error:|fatal:|could not|unrecognized|setpriv:|bad directive", re.IGNORECASE
    )
    telling = [line for line in lines if pattern.search(line)]
    return (telling or lines or ["it said nothing"])[0]
