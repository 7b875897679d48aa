"""Folders for what `manage.py up` keeps."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data() -> Iterator[Path]:
    """Short enough for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="oc-"))
    yield folder
    shutil.rmtree(folder)
