"""The npm packages of the browser tests (`package.json` beside this file), installed when first asked for.

None of them is served to anybody: axe-core judges pages, TypeScript judges the client's types.
"""

import fcntl
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
_LOCK = HERE / "package-lock.json"
_STAMP = MODULES / ".in-sync"


class Missing(Exception):
    """A package cannot be had here: no Node, no npm, or no registry. The message says which."""


def package_file(path: str) -> Path:
    """A file of an installed package, such as `axe-core/axe.min.js`. Raises `Missing`."""
    _install()
    return MODULES / path


def _install() -> None:
    # The runs of pytest-xdist come here together.
    with (HERE / "package.json").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if _STAMP.exists() and _STAMP.read_bytes() == _LOCK.read_bytes():
            return
        if not (shutil.which("node") and shutil.which("npm")):
            raise Missing("Node and npm are missing (on Debian: apt-get install nodejs npm)")
        done = subprocess.run(
            ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=HERE, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Missing(f"npm ci failed: {done.stderr.strip()[-300:]}")
        shutil.copyfile(_LOCK, _STAMP)
