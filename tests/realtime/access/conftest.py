"""Fixtures of who may watch what."""

from collections.abc import Callable

import pytest

from tests.realtime.conftest import NEVER
from tests.realtime.serving import Server

Start = Callable[..., Server]


@pytest.fixture
def server(start_server: Start) -> Server:
    """It makes no position checks: what arrives came by a hint, or by reading a hole."""
    return start_server(check=NEVER)
