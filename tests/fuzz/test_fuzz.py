"""A short run of the machines that `make fuzz` runs at length."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from backend.server.options import uvicorn_arguments
from tests.fuzz.machines import BRIEFLY, Amounts, run
from tests.fuzz.target import Target
from tests.ports import free_port
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def target(
    database: None, valkey: object, child_environment: dict[str, str], tmp_path: Path
) -> Iterator[Target]:
    """A web process as `manage.py up` starts one. Its provider is away."""
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "-m", "uvicorn", "backend.asgi:application", "--port", str(port)]
    command += uvicorn_arguments()
    environment = {**child_environment, "ORDERCAST_HOUSE_URL": "http://127.0.0.1:1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(
            lambda: httpx.get(f"{url}/health/live", trust_env=False).is_success,
            60,
            ignoring=(httpx.HTTPError,),
        )
        with closing(Target(url, log.read_text, process.pid, settings.VALKEY_URL)) as made:
            yield made
    finally:
        process.kill()
        process.wait()


def test_nothing_nasty_gets_anything_but_a_clear_answer(target: Target) -> None:
    tally = run(target, Amounts(**BRIEFLY))

    assert tally.findings == {}
    assert tally.is_clean
    assert tally.requests >= BRIEFLY["requests"]
    assert tally.frames >= BRIEFLY["frames"]
