import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from backend.config import environment, variables
from backend.config.paths import BASE_DIR

PRODUCTION = {
    "DATABASE_URL": "postgresql://ordercast@db/ordercast",
    "VALKEY_URL": "redis://valkey/0",
    "ORDERCAST_PUBLIC_URL": "https://pay.example.com",
    "ORDERCAST_HOSTS": "pay.example.com, pay2.example.com",
    "ORDERCAST_SECRET_KEY": "a-key-for-this-test-only-and-Long-enough-4-the-check",
    "ORDERCAST_SERVICE_TOKEN": "a-token-for-this-test",
    "ORDERCAST_HOUSE_KEY": "a-key-for-this-test",
    "ORDERCAST_HOUSE_WEBHOOK_SECRETS": "whsec_YW4tZXhhbXBsZS1vZi1hLXNlY3JldA==,whsec_dGhlLW9uZS1iZWZvcmUtdGhhdA==",
}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in variables.Environment.model_fields:
        monkeypatch.delenv(name, raising=False)
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal() -> str:
    with pytest.raises(ImproperlyConfigured) as refused:
        environment.read()
    return str(refused.value)


def test_lists_are_separated_by_commas(production: pytest.MonkeyPatch) -> None:
    read = environment.read()

    assert read.ORDERCAST_HOSTS == ["pay.example.com", "pay2.example.com"]
    assert len(read.ORDERCAST_HOUSE_WEBHOOK_SECRETS) == 2


def test_an_empty_variable_is_as_good_as_none(production: pytest.MonkeyPatch) -> None:
    production.setenv("ORDERCAST_TICK_SECONDS", "")

    assert environment.read().ORDERCAST_TICK_SECONDS == 15


def test_a_bad_value_is_refused_with_its_name_what_it_is_and_what_would_be_right(
    production: pytest.MonkeyPatch,
) -> None:
    production.setenv("ORDERCAST_TICK_SECONDS", "soon")
    production.setenv("ORDERCAST_LOG_LEVEL", "LOUD")

    seconds, level = refusal().splitlines()
    assert seconds.startswith("ORDERCAST_TICK_SECONDS should be a valid integer, ")
    assert seconds.endswith("(it is 'soon'); for example ORDERCAST_TICK_SECONDS=15")
    assert level.startswith("ORDERCAST_LOG_LEVEL should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR' ")
    assert level.endswith("(it is 'LOUD'); for example ORDERCAST_LOG_LEVEL=INFO")


@pytest.mark.parametrize(
    "value",
    [
        "shop.example.com", "https://shop.example.com/pay", "https://*.example.com", "null", "capacitor://",
        "javascript://shop.example.com", "file://localhost", "data://x", "wss://shop.example.com",
    ],
)  # fmt: skip
def test_a_site_is_named_by_its_origin_and_nothing_more(
    production: pytest.MonkeyPatch, value: str
) -> None:
    production.setenv("ORDERCAST_ORIGINS", f"https://Shop.example.com:8443,{value}")

    assert refusal().startswith(
        "ORDERCAST_ORIGINS must be origins: https:// (or an app's own scheme), a name"
    )


def test_the_pages_of_an_app_are_named_by_its_scheme(production: pytest.MonkeyPatch) -> None:
    apps = [
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "com.example.shop://app",
    ]
    production.setenv("ORDERCAST_ORIGINS", ",".join(apps))

    assert apps == environment.read().ORDERCAST_ORIGINS


@pytest.mark.parametrize(
    "value",
    ["mysql://me:hush@db/name", "me:hu/sh@db/name", "mysql://me:hu/sh@db", "postgres-hush@db"],
)
def test_the_password_in_a_bad_address_is_not_repeated(
    production: pytest.MonkeyPatch, value: str
) -> None:
    production.setenv("DATABASE_URL", value)

    said = refusal()

    assert said.startswith(
        "DATABASE_URL must be a URL that begins with postgresql:// or postgres:// (it is "
    )
    assert "hu" not in said


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "SERVICE_TOKEN", "HOUSE_KEY", "HOUSE_WEBHOOK_SECRETS"]
)
def test_production_refuses_a_missing_short_or_public_secret_without_repeating_it(
    production: pytest.MonkeyPatch, name: str
) -> None:
    variable = f"ORDERCAST_{name}"
    production.delenv(variable)
    assert refusal().startswith(f"{variable} must be set, to at least ")

    production.setenv(variable, "sh0rt")
    assert refusal().startswith(f"{variable} must be set, to at least ")
    assert "sh0rt" not in refusal()

    demo = environment._DEMO_SECRETS[variable]
    production.setenv(variable, demo if isinstance(demo, str) else ",".join(demo))
    assert f"{variable} must be your own, not the demo's" in refusal()


SECRETS = (*environment._SECRETS, "ORDERCAST_TOKEN_KEYS")


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_one_of_the_demos_or_of_the_documentation(
    production: pytest.MonkeyPatch, name: str
) -> None:
    production.setenv("ORDERCAST_PROVIDERS", "house,stripe")
    production.setenv("ORDERCAST_STRIPE_KEY", "sk_a_key_for_this_test")
    production.setenv("ORDERCAST_STRIPE_WEBHOOK_SECRETS", "whsec_YW4tZXhhbXBsZS1vZi1hLXNlY3JldA")
    assert len(environment._PUBLIC) >= 6
    for public in environment._PUBLIC:
        production.setenv(name, public)

        assert f"{name} must be" in refusal()
        assert f"{name}={public}" not in refusal() or public in str(
            variables.Environment.model_fields[name].examples
        )


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("secret", ["a" * 64, "abcdefgh" * 8, "1234567890" * 6])
def test_what_anybody_would_guess_is_no_secret(
    production: pytest.MonkeyPatch, name: str, secret: str
) -> None:
    production.setenv("ORDERCAST_PROVIDERS", "house,stripe")
    production.setenv(name, secret)

    assert f"{name} must be " in refusal()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ORDERCAST_DEBUG", "true", "ORDERCAST_DEBUG must be off outside the demo"),
        ("ORDERCAST_HOSTS", "pay.example.com,*", "ORDERCAST_HOSTS must name each host"),
        (
            "ORDERCAST_PUBLIC_URL",
            "http://pay.example.com",
            "ORDERCAST_PUBLIC_URL must begin with https",
        ),
        (
            "ORDERCAST_HOUSE_URL",
            "http://10.1.2.3:8100",
            "ORDERCAST_HOUSE_URL must begin with https",
        ),
        ("ORDERCAST_PUBLIC_URL", "http://localhost.example.com", "ORDERCAST_PUBLIC_URL must begin"),
    ],
)
def test_production_refuses_what_only_a_demo_may(
    production: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    production.setenv(name, value)

    assert refusal().startswith(said)


def test_token_keys_are_long_and_an_identity_provider_has_a_name(
    production: pytest.MonkeyPatch,
) -> None:
    production.setenv("ORDERCAST_TOKEN_KEYS", f"{secrets.token_urlsafe(32)},not-l0ng-enough")
    production.setenv("ORDERCAST_TOKEN_JWKS", "https://login.example.com/jwks.json")

    keys, issuer = refusal().splitlines()

    assert keys.startswith("ORDERCAST_TOKEN_KEYS must have at least 32 characters in each key")
    assert issuer.startswith("ORDERCAST_TOKEN_ISSUER must be set where ORDERCAST_TOKEN_JWKS is")


def test_the_demo_needs_no_secrets_but_keeps_those_it_is_given(
    production: pytest.MonkeyPatch,
) -> None:
    production.delenv("ORDERCAST_SECRET_KEY")
    production.setenv("ORDERCAST_DEMO", "true")

    read = environment.read()

    assert len(read.ORDERCAST_SECRET_KEY) >= 32
    assert read.ORDERCAST_SERVICE_TOKEN == "a-token-for-this-test"


def check_deploy(variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    check = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(check, env=environment, capture_output=True, text=True, check=False)


def test_django_has_nothing_to_say_against_production_settings() -> None:
    done = check_deploy(PRODUCTION)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("variables", "prefix"),
    [
        ({"VALKEY_URL": "redis://valkey"}, "ordercast"),
        ({"VALKEY_URL": "redis://valkey/0"}, "ordercast"),
        ({"VALKEY_URL": "rediss://valkey/3"}, "ordercast3"),
        ({"VALKEY_URL": "unix:///valkey.sock?db=2"}, "ordercast2"),
        ({"VALKEY_URL": "redis://valkey/3", "ORDERCAST_CHANNEL_PREFIX": "mine"}, "mine"),
    ],
)
def test_installations_with_databases_of_their_own_have_channels_of_their_own(
    variables: dict[str, str], prefix: str
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from backend.settings import CHANNEL_LAYERS as layers; print(layers['default']['CONFIG']['prefix'])",
        ],
        env={"PATH": os.environ["PATH"], "ORDERCAST_DEMO": "true", **variables},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == prefix, done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (
            "ORDERCAST_HOUSE_WEBHOOK_SECRETS",
            "whsec_!ab!cd!ef!gh!ij!kl!mn!op!q",
            "begin with ORDERCAST_HOUSE_",
        ),
    ],
)
def test_what_would_only_show_in_use_is_said_by_the_check_before_a_deploy(
    variable: str, value: str, says: str
) -> None:
    done = check_deploy({**PRODUCTION, variable: value})

    assert done.returncode == 1
    assert says in done.stderr
    assert "!ab" not in done.stderr  # no part of a secret


def test_the_documentation_lists_every_variable_as_it_is() -> None:
    page = (BASE_DIR / "docs" / "operations.md").read_text()

    assert environment.table() in page, (
        "put the output of `python -m backend.config.environment` into docs/operations.md"
    )


def test_every_variable_has_a_meaning_and_an_example_that_would_be_accepted(
    production: pytest.MonkeyPatch,
) -> None:
    for name, field in variables.Environment.model_fields.items():
        assert field.description
        for example in field.examples or pytest.fail(f"{name} has no example"):
            # What stands in $(…) is a command that makes a secret.
            is_secret = "$(" in str(example) or name in SECRETS
            production.setenv(name, secrets.token_urlsafe(48) if is_secret else str(example))
    production.setenv("ORDERCAST_TOKEN_ISSUER", "https://login.example.com/")

    environment.read()


def test_a_relative_data_folder_is_the_same_from_everywhere_later(
    production: pytest.MonkeyPatch,
) -> None:
    production.setenv("ORDERCAST_DATA", "somewhere")

    folder = environment.read().ORDERCAST_DATA
    assert folder == Path.cwd() / "somewhere"


def test_a_provider_in_use_needs_its_secrets_and_another_does_not(
    production: pytest.MonkeyPatch,
) -> None:
    production.setenv("ORDERCAST_PROVIDERS", "stripe")
    production.delenv("ORDERCAST_HOUSE_KEY")
    production.delenv("ORDERCAST_HOUSE_WEBHOOK_SECRETS")

    key, secrets, _hint = refusal().splitlines()

    assert key.startswith("ORDERCAST_STRIPE_KEY must be set")
    assert secrets.startswith("ORDERCAST_STRIPE_WEBHOOK_SECRETS must be set")


def test_a_provider_that_nobody_has_written_is_refused(production: pytest.MonkeyPatch) -> None:
    production.setenv("ORDERCAST_PROVIDERS", "house,paypal")

    assert refusal().startswith("ORDERCAST_PROVIDERS must be of house, stripe, not paypal")


def test_the_demo_without_a_key_speaks_stripe_with_the_sandbox(
    production: pytest.MonkeyPatch,
) -> None:
    production.setenv("ORDERCAST_DEMO", "true")

    read = environment.read()

    assert read.ORDERCAST_STRIPE_URL == read.ORDERCAST_HOUSE_URL
    assert read.ORDERCAST_STRIPE_KEY == read.ORDERCAST_HOUSE_KEY


def test_the_demo_with_a_key_alone_takes_no_callback_of_anybody(
    production: pytest.MonkeyPatch,
) -> None:
    production.setenv("ORDERCAST_DEMO", "true")
    production.setenv("ORDERCAST_STRIPE_KEY", "sk_test_1234")

    first, second = environment.read(), environment.read()

    assert first.ORDERCAST_STRIPE_URL == "https://api.stripe.com"
    assert first.ORDERCAST_STRIPE_WEBHOOK_SECRETS != second.ORDERCAST_STRIPE_WEBHOOK_SECRETS
