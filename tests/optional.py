"""What a test does without a program that it needs: skipped on somebody's laptop, failed where all must be green."""

import os
import shutil
from typing import NoReturn

import pytest


def skip_or_fail(reason: object) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(str(reason))
    pytest.skip(str(reason))


def program(name: str, package: str) -> str:
    """Where it is. `package` is Debian's, for whoever wants the test to run."""
    # Debian puts servers where only root's PATH looks.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return found or skip_or_fail(f"{name} is missing; on Debian: apt-get install {package}")
