import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from backend.up import child, embedded
from tests.waiting import eventually


@pytest.fixture
def data() -> Iterator[Path]:
    # Not tmp_path: its name is too long for a socket, which is a test of its own.
    folder = Path(tempfile.mkdtemp(prefix="oc-"))
    yield folder
    shutil.rmtree(folder)


def test_the_addresses_are_known_before_anything_runs(data: Path) -> None:
    assert embedded.database_url(data) == f"postgresql://postgres@/ordercast?host={data}/postgres"
    assert embedded.valkey_url(data) == f"unix://{data}/valkey/valkey.sock"
    assert list(data.iterdir()) == []


def test_a_long_path_and_a_strange_one_get_a_short_folder_of_their_own(data: Path) -> None:
    for strange in (data / ("long" * 30), data / "with space", data / "what?#%,"):
        url = embedded.database_url(strange)

        assert url.startswith("postgresql://postgres@/ordercast?host=/tmp/ordercast-")
        assert url == embedded.database_url(strange)
        assert url != embedded.database_url(strange / "other")


def test_what_was_written_is_there_after_a_stop_and_a_start(data: Path) -> None:
    first = embedded.start_postgres(data, is_quick=True)
    with psycopg.connect(embedded.database_url(data)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    first.stop()

    second = embedded.start_postgres(data, is_quick=True)

    with psycopg.connect(embedded.database_url(data)) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]
    second.stop()


def test_valkey_answers_on_its_socket_and_leaves_nothing_running(data: Path) -> None:
    server = embedded.start_valkey(data)

    with redis.Redis.from_url(embedded.valkey_url(data)) as client:
        assert client.ping()
    server.stop()

    assert not server.is_alive()
    assert server.process.returncode == 0  # it was asked, not killed


def test_servers_stop_when_their_owner_is_killed_and_start_again(data: Path) -> None:
    code = f"""
        import sys; from pathlib import Path
        from backend.up import embedded
        data = Path({str(data)!r})
        servers = embedded.start_postgres(data, is_quick=True), embedded.start_valkey(data)
        print(*[server.process.pid for server in servers], flush=True)
        sys.stdin.read()
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdin
    assert owner.stdout
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    owner.kill()
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()

    eventually(
        lambda: not any(psutil.pid_exists(pid) for pid in pids), saying="both servers stopped"
    )

    (data / "valkey" / "valkey.pid").write_text(
        str(os.getpid())
    )  # a stale file that names a living stranger
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")
    for server in (embedded.start_postgres(data, is_quick=True), embedded.start_valkey(data)):
        server.stop()


def test_a_leftover_server_is_stopped_before_a_new_one_starts(data: Path) -> None:
    leftover = embedded.start_postgres(data, is_quick=True)

    server = embedded.start_postgres(data, is_quick=True)

    assert leftover.process.wait(5) == 0
    server.stop()
    leftover.stop()


def test_a_cluster_that_was_interrupted_while_it_was_made_is_made_anew(data: Path) -> None:
    half = data / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    embedded.start_postgres(data, is_quick=True).stop()

    assert not half.exists()


def test_a_folder_that_cannot_be_made_is_one_line(data: Path) -> None:
    (data / "file").write_text("")

    with pytest.raises(child.EmbeddedError) as error:
        embedded.start_postgres(data / "file")

    assert str(error.value) == f"cannot start PostgreSQL: Not a folder: {data}/file"


def test_a_full_disk_is_one_line(data: Path) -> None:
    """The reason is picked out of what initdb says on a device that is full."""
    said = b"creating subdirectories ... initdb: error: could not create directory: No space left on device\n"

    assert child.reason(b"The files belong to you.\n" + said).endswith("No space left on device")


def test_a_server_that_dies_at_once_says_why(data: Path) -> None:
    embedded.start_postgres(data, is_quick=True).stop()
    (data / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(child.EmbeddedError, match=r"PostgreSQL did not start: .*no_such_setting"):
        embedded.start_postgres(data, is_quick=True)


def test_the_reaper_asks_first_and_kills_what_does_not_listen(data: Path) -> None:
    deaf = [
        sys.executable,
        "-c",
        "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()",
    ]
    process = subprocess.Popen(deaf)
    monkey = "import sys; sys.path.insert(0, 'backend/up'); import reaper; reaper.GRACE = 0.3; "
    code = monkey + f"import signal; reaper.reap([({process.pid}, signal.SIGTERM)])"

    subprocess.run([sys.executable, "-c", code], check=True)

    assert process.wait(5) == -signal.SIGKILL
