"""Starts PostgreSQL and Valkey once for a run, in a fresh folder, before pytest-django reads the settings.

Loaded by `-p tests.plugin`. Under pytest-xdist the controller starts them and its workers inherit the environment;
each worker has a database of its own (pytest-django's suffix) and a Valkey database number of its own. A reaper stops
the servers and removes the folder also when the run is killed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from backend.up import child, embedded
from tests.ports import free_port

# A worker of pytest-xdist, and a pytest that a test starts, use what is there.
_OURS = "ORDERCAST_TEST_DATA"
# Whole stacks and long runs; a quarter of the tests' time is in these few.
LONGEST = (
    "tests/chaos/test_chaos.py",
    "tests/bench/test_bench.py",
    "tests/workers/test_lost_callbacks.py",
    "tests/realtime/endpoints/test_rolling_restart.py",
    "tests/journeys/",
    "tests/prove/test_prove.py",
    "tests/realtime/endpoints/test_slow_streams.py",
    "tests/backend/up/",
    "tests/fuzz/test_fuzz.py",
)

_servers: list[child.Server] = []
_reapers: list[subprocess.Popen[bytes]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """The earliest hook: pytest-django reads the settings in the next one."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "backend.settings", "ORDERCAST_DEMO": "true"}
    if not {"-h", "--help", "-V", "--version"} & set(sys.argv) and _OURS not in os.environ:
        _start()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")
    os.environ["VALKEY_URL"] = (
        os.environ.get("ORDERCAST_TEST_VALKEY_URL", "") + f"?db={int(worker) + 1}"
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: twice the cores, because much of what these tests do is waiting for processes of their own."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is alone with it at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _servers:
        return
    while _servers:
        _servers.pop().stop()
    while _reapers:
        reaper = _reapers.pop()
        reaper.kill()
        reaper.wait()
    shutil.rmtree(os.environ.pop(_OURS), ignore_errors=True)


def _start() -> None:
    data = Path(tempfile.mkdtemp(prefix="ordercast-test-"))
    port = free_port()
    # Nothing of the person's own environment decides what the tests see.
    for name in [name for name in os.environ if name.startswith("ORDERCAST_")]:
        del os.environ[name]
    try:
        _servers.append(embedded.start_postgres(data, is_quick=True))
        _servers.append(embedded.start_valkey(data, port=port))
    except child.EmbeddedError as error:
        pytest.exit(str(error), returncode=1)
    pids = [f"TERM:{server.process.pid}" for server in _servers]
    _reapers.append(child.start_reaper(*pids, remove=data))
    os.environ |= {
        _OURS: str(data),
        "ORDERCAST_DEMO": "true",
        "ORDERCAST_DATA": str(data),
        # A busy machine is slow, and nothing is locked for long by accident.
        "ORDERCAST_LOCK_TIMEOUT": "20",
        "ORDERCAST_STATEMENT_TIMEOUT": "60",
        "DATABASE_URL": embedded.database_url(data),
        "ORDERCAST_TEST_VALKEY_URL": embedded.valkey_url(data),
        "ORDERCAST_TEST_VALKEY_PORT": str(port),
    }
