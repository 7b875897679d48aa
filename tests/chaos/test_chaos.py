"""A short run of `make chaos`, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.processes import runs
from tests.sandbox import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.stack
SEED = "4"


@pytest.fixture
def fast_accept() -> str:
    return "on"


@pytest.fixture
def harness(fast_accept: str) -> Iterator["subprocess.Popen[str]"]:
    """`make chaos`, ten seconds of it with few pages."""
    amounts = {"CHAOS_SECONDS": "10", "CHAOS_PAGES": "60", "SEED": SEED}
    environment = {**os.environ, **amounts, "ORDERCAST_FAST_ACCEPT": fast_accept}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        yield process
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("fast_accept", ["on", "off"])
def test_ten_seconds_of_chaos_lose_nothing(
    harness: "subprocess.Popen[str]", fast_accept: str
) -> None:
    said, _ = harness.communicate(timeout=900)

    assert ("accepted by plain ASGI" in said) == (fast_accept == "off")
    assert harness.returncode == 0, said
    assert f"SEED={SEED}" in said
    result = json.loads(said.splitlines()[-1].removeprefix("CHAOS "))
    assert set(result["kills"].values()) == {1}
    left_out = {name for name, times in result["troubles"].items() if times == 0}
    assert left_out <= (set() if "CI" in os.environ else {"worker_skewed"})
    assert result["pages"] == 60
    assert result["frames"] > result["events"] > 0
    for kind in ("lost", "doubled", "out_of_order", "callbacks_acknowledged_but_not_committed"):
        assert result[kind] == 0, said


def test_a_killed_harness_takes_everything_with_it(harness: "subprocess.Popen[str]") -> None:
    assert harness.stdout is not None
    for line in harness.stdout:
        if line.startswith("everything is ready"):
            break
    folder = line.rpartition(" ")[2].strip()
    left = psutil.Process(harness.pid).children(recursive=True)
    names = " ".join(word for each in left for word in each.cmdline())
    assert all(part in names for part in ("uvicorn", "worker", "beat", "sandbox", "postgres"))

    harness.kill()
    harness.wait()

    eventually(lambda: not [each for each in left if runs(each)], 30)
    eventually(lambda: not os.path.exists(folder), 10)  # noqa: PTH110 — asked of a string
