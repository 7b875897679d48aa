"""Whoever plays against a stack may be killed: the stack goes with it."""

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.processes import runs
from tests.story.stack import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.stack
PLAYER = """
from tests.story.stack import started_stack
with started_stack("--without", "worker,beat") as stack:
    print("ready", flush=True)
    input()
"""


@pytest.fixture
def player() -> Iterator["subprocess.Popen[str]"]:
    """A process that has started a stack, and is in the middle of its play."""
    with subprocess.Popen(
        [sys.executable, "-c", PLAYER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_killed_player_leaves_no_stack_behind(player: "subprocess.Popen[str]") -> None:
    started = psutil.Process(player.pid).children(recursive=True)
    assert len(started) > 4

    player.kill()
    player.wait()

    eventually(lambda: not [each for each in started if runs(each)], 30)
