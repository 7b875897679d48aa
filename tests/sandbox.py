"""Start the sandbox as a process of its own, for any test and for the story: `start_sandbox()`."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import httpx

ROOT = Path(__file__).resolve().parent.parent
KEY = "sandbox-test-key"
SECRET = "whsec_c2FuZGJveC10ZXN0LXNlY3JldC1vZi0zMi1ieXRlcw=="
READY = "sandbox ready on "


class SandboxDidNotStart(Exception):
    """The process ended, or said nothing in time; the message is what it wrote."""


@dataclass(kw_only=True)
class SandboxProcess:
    """A running sandbox. `url`, `key` and `secret` are what a provider needs; `control` is for setting faults."""

    url: str
    key: str
    secret: str
    data: Path
    process: subprocess.Popen[str]
    options: dict[str, object]
    folder: tempfile.TemporaryDirectory[str] | None = None
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=20,
            trust_env=False,
        )

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Call `/control/<path>` (or any path that begins with /) and give the JSON answer; raises on an error."""
        path = path if path.startswith("/") else f"/control/{path}"
        answer = self.client.request(method, path, json=body)
        if answer.is_error:
            raise AssertionError(f"{method} {path}: HTTP {answer.status_code} {answer.text}")
        return answer.json()

    def act(self, ref: str, action: str, amount: int | None = None) -> Any:
        return self.control("POST", f"payments/{ref}/act", {"action": action, "amount": amount})

    def set_faults(self, *faults: object, ref: str | None = None) -> None:
        """Replace the faults of one payment, or of all."""
        path = f"payments/{ref}/faults" if ref else "faults"
        self.control("PUT", path, {"faults": list(faults)})

    def deliveries(self, ref: str) -> list[dict[str, Any]]:
        deliveries: list[dict[str, Any]] = self.control("GET", f"payments/{ref}/callbacks")[
            "deliveries"
        ]
        return deliveries

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process and give its exit code. Keeps the data, so that `restart` finds it."""
        self.process.send_signal(how)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def restart(self) -> None:
        """Start again on the same port with the same data."""
        port = int(self.url.rpartition(":")[2])
        self.process, _ = _spawn({**self.options, "port": port})

    def close(self) -> None:
        """Stop, and remove the data if the folder was made for it."""
        self.stop()
        self.client.close()
        if self.folder:
            self.folder.cleanup()


def start_sandbox(**options: object) -> SandboxProcess:
    """A sandbox on a free port (or `port=`), with its data in a folder of its own (or `data=`), ready for calls.

    Options are those of `python -m orders.payments.sandbox`, with `_` for `-`. Raises `SandboxDidNotStart`.
    """
    folder = None if "data" in options else tempfile.TemporaryDirectory(prefix="sandbox-")
    data = Path(str(options["data"])) if folder is None else Path(folder.name) / "sandbox.sqlite3"
    options = {"port": 0, "key": KEY, "webhook_secret": SECRET, **options, "data": data}
    try:
        process, url = _spawn(options)
    except SandboxDidNotStart:
        if folder:
            folder.cleanup()
        raise
    return SandboxProcess(
        url=url,
        key=str(options["key"]),
        secret=str(options["webhook_secret"]),
        data=data,
        process=process,
        options=options,
        folder=folder,
    )


@contextmanager
def sandbox(**options: object) -> Iterator[SandboxProcess]:
    """`start_sandbox` for a `with` block."""
    running = start_sandbox(**options)
    try:
        yield running
    finally:
        running.close()


def _spawn(options: dict[str, object]) -> tuple[subprocess.Popen[str], str]:
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "orders.payments.sandbox", *arguments],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("SANDBOX_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, _await_ready(process)


def _await_ready(process: subprocess.Popen[str], within: float = 20.0) -> str:
    # Killing it is what ends the read below when it says nothing.
    watchdog = threading.Timer(within, process.kill)
    watchdog.start()
    said = []
    output = cast("IO[str]", process.stdout)
    try:
        for line in output:
            if line.startswith(READY):
                threading.Thread(target=_drain, args=(output,), daemon=True).start()
                return line.removeprefix(READY).strip()
            said.append(line)
    finally:
        watchdog.cancel()
    with output:
        process.wait()
    raise SandboxDidNotStart("".join(said) or f"said nothing within {within:g} s")


def _drain(output: IO[str]) -> None:
    """Pass on what it writes later; a full pipe would stop it."""
    with output:
        for line in output:
            sys.stderr.write(f"sandbox | {line}")
