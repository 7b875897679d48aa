"""Fixtures of the hub's tests."""

from collections.abc import AsyncIterator

import pytest

from realtime.hub.hub import Hub
from realtime.runtime.limits import Timing
from tests.realtime.conftest import NEVER
from tests.realtime.hub.playing import Journal


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
async def hub(journal: Journal) -> AsyncIterator[Hub]:
    """It makes no position checks, unless it is triggered."""
    made = Hub([journal], Timing(check=NEVER))
    made.start()
    yield made
    await made.stop()
