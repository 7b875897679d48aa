"""One running stack for all journeys of a test process."""

from collections.abc import Iterator

import pytest

from tests.story.stack import Stack, started_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Everything but the worker, which the journeys start and kill themselves."""
    with started_stack("--without", "worker") as running:
        yield running
