"""Beat, where the database is away when it starts."""

import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from backend.up import command_line
from tests.waiting import eventually
from tests.workers.test_clock_skew import a_tick_each_second, running

pytestmark = pytest.mark.stack


def test_beat_that_starts_while_the_database_is_away_goes_on_once_it_is_back(
    child_environment: dict[str, str], database: None, valkey: object, tmp_path: Path
) -> None:
    a_tick_each_second()
    url = urlsplit(child_environment["DATABASE_URL"])
    (there,) = parse_qs(url.query)["host"]
    log = tmp_path / "beat.log"
    with tempfile.TemporaryDirectory(prefix="oc-") as folder:  # short enough for a socket
        address = f"{url.scheme}://{url.netloc}{url.path}?host={folder}"
        environment = {**child_environment, "DATABASE_URL": address, "ORDERCAST_LOG_LEVEL": "INFO"}
        with running(command_line.BEAT, environment, log):
            eventually(lambda: "database unavailable" in log.read_text(), 40)

            (Path(folder) / ".s.PGSQL.5432").symlink_to(f"{there}/.s.PGSQL.5432")

            eventually(lambda: "workers.tasks.reconcile" in log.read_text(), 40)
