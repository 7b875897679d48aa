"""Fixtures for the provider tests: a sandbox process for the whole run, and a receiver for each test."""

from collections.abc import Iterator

import pytest

from tests.orders.payments.receiver import Receiver, receiver
from tests.sandbox import SandboxProcess
from tests.sandbox import sandbox as running_sandbox


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[SandboxProcess]:
    # A twentieth of the usual pauses: the second try comes after 50 ms.
    with running_sandbox(time_scale=0.05) as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    """The run's sandbox, without global faults before and after."""
    sandbox_process.set_faults()
    yield sandbox_process
    sandbox_process.set_faults()


@pytest.fixture
def callbacks() -> Iterator[Receiver]:
    with receiver() as taker:
        yield taker
