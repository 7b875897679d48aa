"""A real provider process as the house provider, as fixtures. Nobody listens for its callbacks: all of them are lost.

A conftest imports them: `from tests.providing import provider, provider_process`.
"""

from collections.abc import Iterator
from typing import cast

import pytest
from pytest_django import Settings

from orders.payments import registry
from orders.payments.house import House
from tests.ports import free_port
from tests.sandbox import SandboxProcess, start_sandbox


@pytest.fixture(scope="session")
def provider_process() -> Iterator[SandboxProcess]:
    running = start_sandbox()
    yield running
    running.close()


@pytest.fixture
def provider(
    provider_process: SandboxProcess, settings: Settings, database: None
) -> Iterator[SandboxProcess]:
    """The sandbox as the house provider, without faults before and after."""
    provider_process.set_faults()
    settings.ORDERCAST_PUBLIC_URL = f"http://127.0.0.1:{free_port()}"
    reach(settings, provider_process.url)
    yield provider_process
    provider_process.set_faults()
    _hang_up()


def reach(settings: Settings, url: str, *, timeout: float = 5.0) -> None:
    """From now on the house provider is at `url`, and has `timeout` seconds to answer."""
    _hang_up()
    house = {**settings.ORDERCAST_PROVIDERS["house"], "url": url, "timeout": timeout}
    settings.ORDERCAST_PROVIDERS = {"house": house | {"key": "sandbox-test-key"}}


def _hang_up() -> None:
    cast("House", registry.get("house")).close()
    registry.cache_clear()


def take_away(settings: Settings) -> None:
    """From now on nothing listens where the provider should be."""
    reach(settings, f"http://127.0.0.1:{free_port()}")
