"""Fixtures for the provider tests: a sandbox process for the whole run, and a receiver for each test."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.orders.payments.paying import Pay, create
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


@pytest.fixture
def pay(sandbox: SandboxProcess, callbacks: Receiver) -> Pay:
    """Create a payment with the faults in its order's metadata, and let the customer pay."""

    def paying(*faults: object, act: str = "pay", **script: Any) -> dict[str, Any]:
        payment = create(sandbox, callbacks, sandbox={"faults": faults, **script})
        paid: dict[str, Any] = sandbox.act(payment["provider_ref"], act)
        return paid

    return paying
