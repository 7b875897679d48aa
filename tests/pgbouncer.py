"""PgBouncer in transaction mode in front of a test's PostgreSQL, as it may stand in front of an installation's."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from backend.up import child, unprivileged
from tests.optional import program
from tests.ports import free_port
from tests.waiting import eventually

# A few connections to share: whatever is left in a session meets somebody else soon.
_CONFIGURATION = """
[databases]
* = host={host} port=5432 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
logfile = {folder}/pgbouncer.log
"""


@contextmanager
def pgbouncer(host: str) -> Iterator[int]:
    """Its port, for the PostgreSQL whose socket is in the folder `host`."""
    binary = Path(program("pgbouncer", "pgbouncer"))
    folder = Path(tempfile.mkdtemp(prefix="oc-"))
    port = free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(_CONFIGURATION.format(host=host, port=port, folder=folder))
    for each in (folder, configuration):
        unprivileged.give(each)
    run_as = unprivileged.prefix(binary, folder, Path(host))
    process = subprocess.Popen(
        [*run_as, str(binary), "-q", str(configuration)], stderr=subprocess.DEVNULL
    )
    reaper = child.start_reaper(f"TERM:{process.pid}")

    def answers() -> bool:
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        with suppress(psycopg.OperationalError), psycopg.connect(url):
            return True
        return False

    try:
        eventually(answers, 10)
        yield port
    finally:
        process.terminate()
        process.wait()
        reaper.kill()
        reaper.wait()
        shutil.rmtree(folder)
