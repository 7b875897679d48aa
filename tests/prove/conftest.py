"""The model provider in the place of a real one."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from orders.payments import registry
from tests.prove import provider
from workers import guard


@pytest.fixture
def model(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, database: None, valkey: object
) -> Iterator[provider.World]:
    """The provider `model`, the only one that is configured, without a budget that would be waited for."""
    monkeypatch.setitem(registry.FACTORIES, "model", "tests.prove.provider.Model")
    settings.ORDERCAST_PROVIDERS = {"model": {}}
    settings.ORDERCAST_DEFAULT_PROVIDER = "model"
    settings.ORDERCAST_PROVIDER_RATE = 1_000_000
    registry.cache_clear()
    provider.WORLD.__init__()  # type: ignore[misc] # the machine holds it too
    yield provider.WORLD
    registry.cache_clear()
    for cached in (guard._valkey, guard._shared_limiter, guard._own_limiter):
        cached.cache_clear()
