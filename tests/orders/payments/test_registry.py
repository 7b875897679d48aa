"""Finding a provider by its name."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from orders.payments import registry
from orders.payments.house import House

SECRET = "whsec_cmVnaXN0cnktdGVzdC1zZWNyZXQ="


@pytest.fixture
def configured(settings: Settings) -> Iterator[Settings]:
    registry.cache_clear()
    settings.ORDERCAST_PROVIDERS = {"house": _configuration("http://127.0.0.1:9")}
    yield settings
    registry.cache_clear()


def _configuration(url: str) -> dict[str, Any]:
    return {"url": url, "key": "k", "webhook_secrets": [SECRET], "timeout": 1.0}


def test_a_configured_provider_is_built_once_even_by_many_threads(
    configured: Settings,
) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(registry.get, ["house"] * 32))

    assert [type(provider) for provider in found] == [House]


def test_another_configuration_is_another_instance(configured: Settings) -> None:
    before = registry.get("house")

    configured.ORDERCAST_PROVIDERS = {"house": _configuration("http://127.0.0.1:10")}

    assert registry.get("house") is not before


def test_a_forked_process_builds_its_own(
    configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = registry.get("house")

    monkeypatch.setattr(os, "getpid", lambda: -1)

    assert registry.get("house") is not before


def test_an_unknown_name_is_answered_with_the_known_ones(configured: Settings) -> None:
    with pytest.raises(registry.UnknownProvider) as unknown:
        registry.get("paypal")

    assert str(unknown.value) == "There is no payment provider 'paypal'; configured: house."
    assert registry.names() == ["house"]


def test_a_configured_name_without_code_is_unknown(configured: Settings) -> None:
    configured.ORDERCAST_PROVIDERS = {"cash": {}}

    with pytest.raises(KeyError, match="configured: none"):
        registry.get("cash")
