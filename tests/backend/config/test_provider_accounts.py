"""A provider's account: found in the environment by its name, and made before the first customer comes."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from backend.config import environment, provider_accounts
from orders.payments import registry
from tests.orders.payments.foreign import Far

THEIRS = {
    "ORDERCAST_FAR_URL": "http://127.0.0.1:9",
    "ORDERCAST_FAR_KEY": "k",
    "ORDERCAST_FAR_SECRETS": "one-secret-of-theirs, another-one-of-theirs",
    "ORDERCAST_FARTHER_KEY": "another provider's",
}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(registry.FACTORIES, "far", "tests.orders.payments.foreign.Far")


def test_a_provider_of_one_file_and_one_line_finds_its_account(
    registered: None, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    for variable, value in THEIRS.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("ORDERCAST_PROVIDERS", "far")
    assert environment.read().ORDERCAST_PROVIDERS == ["far"]

    account = provider_accounts.account("far", 2.0)

    assert account == {
        "url": "http://127.0.0.1:9",
        "key": "k",
        "secrets": ["one-secret-of-theirs", "another-one-of-theirs"],
        "timeout": 2.0,
    }
    settings.ORDERCAST_PROVIDERS = {"far": account}
    provider_accounts.warm()
    provider = registry.get("far")
    assert isinstance(provider, Far)
    provider.close()


@pytest.mark.parametrize(
    ("account", "says"),
    [
        ({"url": "http://127.0.0.1:9", "timeout": 2.0}, "'key' and 'secrets'"),
        ({"url": "http://127.0.0.1:9", "timeout": 2.0, "colour": "red"}, "'colour'"),
    ],
    ids=["one is missing", "one is not known"],
)
def test_an_account_that_does_not_fit_is_refused_before_anybody_pays(
    registered: None, settings: Settings, account: dict[str, object], says: str
) -> None:
    settings.ORDERCAST_PROVIDERS = {"far": account}

    with pytest.raises(ImproperlyConfigured, match=f"'far'.*{says}.*ORDERCAST_FAR_"):
        provider_accounts.warm()


def test_a_web_process_has_made_its_providers_before_its_first_request() -> None:
    look = "import sys, backend.asgi; print('stripe' in sys.modules)"

    said = subprocess.run(
        [sys.executable, "-c", look],
        env={**os.environ, "ORDERCAST_PROVIDERS": "house,stripe"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert said.stdout.strip() == "True"
