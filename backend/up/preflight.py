"""What `manage.py up` makes sure of before it starts anything."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from backend.up.child import EmbeddedError, make_folder


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold `data` for this process alone. Raises `EmbeddedError` if another has it, or if it cannot be written."""
    path = data.absolute() / "lock"
    try:
        make_folder(path.parent)
        lock: IO[str] = path.open("a+")
    except OSError as error:
        raise EmbeddedError(f"cannot write to {data}: {error.strerror}: {error.filename}") from None
    with lock:
        try:
            # Not flock: forked children would hold that too, and outlive us when we are killed.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise EmbeddedError(
                f"another `manage.py up` (process {lock.read().strip() or '?'}) runs on {data}; "
                "stop it, or choose another folder with --data"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def refuse_a_foreign_database(shown: str) -> None:
    """Raise `EmbeddedError` if the settings' database holds what is not ours: the demo would be migrated into it."""
    ours = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}  # noqa: SLF001 — documented
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
    foreign = sorted(tables - ours - {MigrationRecorder.Migration._meta.db_table})  # noqa: SLF001 — documented
    loader = MigrationLoader(connection, ignore_no_migrations=True)
    foreign += sorted(
        f"migration {app}.{name}"
        for app, name in loader.applied_migrations
        if app in loader.migrated_apps and (app, name) not in loader.disk_migrations
    )
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise EmbeddedError(
            f"the database {shown} holds what is not Ordercast's ({', '.join(foreign[:3])}{more}), and the demo "
            "would be migrated into it; name an empty one with --database, or none for one of the demo's own"
        )


def check_port(part: str, host: str, port: int) -> None:
    """Raise `EmbeddedError` if `port` cannot be listened on."""
    option = "--port" if part == "web" else "--sandbox-port"
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise EmbeddedError(
            f"{part} cannot listen on {host}:{port}: {why}; choose another port with {option}"
        ) from None
