"""The story that `make story` tells, as a test."""

import json
import subprocess
import sys

import pytest

from tests.story.stack import ROOT

pytestmark = pytest.mark.stack


def test_every_chapter_of_the_story_ends_well() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.story"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    summary = json.loads(told.stdout.splitlines()[-1].removeprefix("STORY "))
    assert told.returncode == 0, told.stdout + told.stderr
    assert (summary["chapters"], summary["failed"]) == (12, 0)
