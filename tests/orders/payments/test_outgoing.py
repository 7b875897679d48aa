"""Calls that leave: to a TLS server of a private authority, and through a proxy, each of them real."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from backend.config import provider_accounts
from orders.access import jwks
from orders.payments import registry
from orders.payments.base import Unavailable
from orders.payments.house import House
from orders.payments.stripe import Stripe
from tests.orders.payments.tls import (
    Certificates,
    connect_proxy,
    private_ca,
    tls_server,
)

SECRET = "whsec_" + "b3V0Z29pbmctdGVzdC1zZWNyZXQ="
PAYMENT = {
    "merchant_ref": "m" * 32, "provider_ref": "pay_1", "status": "pending", "amount": 1_000, "currency": "EUR",
}  # fmt: skip
INTENT = {
    "id": "pi_1", "object": "payment_intent", "status": "processing", "amount": 1_000, "currency": "eur",
    "metadata": {"ordercast_ref": "m" * 32, "ordercast_flow": "direct"},
}  # fmt: skip


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return private_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def elsewhere(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No host is near enough to be called directly, as if these were far away."""
    settings.ORDERCAST_OUTGOING_DIRECT = []


def ask_house(url: str) -> str:
    house = House(url, "key", [SECRET], timeout=5)
    try:
        return house.fetch("m" * 32, "pay_1").merchant_ref
    finally:
        house.close()


def ask_stripe(url: str) -> str:
    stripe = Stripe("sk_test", ["whsec_x"], 5, url=url)
    try:
        return stripe.fetch("m" * 32, "pi_1").merchant_ref
    finally:
        stripe.close()


def ask_for_keys(url: str) -> str:
    ring = jwks.Keyring(f"{url}/jwks.json")
    ring.get("any")
    if ring._fetched_at == float("-inf"):
        raise Unavailable("no keys")
    return "m" * 32


KEY = {
    "kty": "OKP", "crv": "Ed25519", "kid": "k", "alg": "EdDSA", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}  # fmt: skip
ASKING: dict[str, tuple[Callable[[str], str], object]] = {
    "house": (ask_house, PAYMENT),
    "stripe": (ask_stripe, INTENT),
    "jwks": (ask_for_keys, {"keys": [KEY]}),
}


@pytest.fixture(params=ASKING)
def asking(
    request: pytest.FixtureRequest, certificates: Certificates
) -> Iterator[Callable[[], str]]:
    ask, answer = ASKING[request.param]
    with tls_server(certificates, answer) as url:
        yield lambda: ask(url)


def test_a_private_authority_is_trusted_where_it_is_named(
    asking: Callable[[], str], certificates: Certificates, settings: Settings
) -> None:
    settings.ORDERCAST_OUTGOING_CA = str(certificates.ca)

    assert asking() == "m" * 32


def test_nobody_else_is_trusted_whatever_the_shell_says(
    asking: Callable[[], str], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))

    with pytest.raises(Unavailable):
        asking()


def test_calls_go_through_the_proxy_that_is_named(
    asking: Callable[[], str], certificates: Certificates, settings: Settings
) -> None:
    settings.ORDERCAST_OUTGOING_CA = str(certificates.ca)
    with connect_proxy() as proxy:
        settings.ORDERCAST_OUTGOING_PROXY = proxy.url

        assert asking() == "m" * 32

    (asked, shown) = proxy.asked[0]
    assert asked.startswith("CONNECT 127.0.0.1:")
    assert shown == f"Basic {b64encode(b'name:secret').decode()}"


def test_hosts_that_are_near_are_called_directly_and_the_shells_proxy_is_nobodys(
    asking: Callable[[], str],
    certificates: Certificates,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.ORDERCAST_OUTGOING_CA = str(certificates.ca)
    with connect_proxy() as named, connect_proxy() as shells:
        monkeypatch.setenv("HTTPS_PROXY", shells.url)
        settings.ORDERCAST_OUTGOING_PROXY = named.url
        settings.ORDERCAST_OUTGOING_DIRECT = ["127.0.0.1"]

        assert asking() == "m" * 32

    assert (named.asked, shells.asked) == ([], [])


def test_a_proxy_that_is_away_means_that_nothing_was_sent(
    certificates: Certificates, settings: Settings
) -> None:
    settings.ORDERCAST_OUTGOING_PROXY = "http://127.0.0.1:9"

    with pytest.raises(Unavailable):
        ask_house("https://127.0.0.1:9")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_holds_no_certificates_stops_a_process_that_starts(
    content: str | None, tmp_path: Path, settings: Settings
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings.ORDERCAST_OUTGOING_CA = str(file)
    registry.cache_clear()

    with pytest.raises(ImproperlyConfigured, match="ORDERCAST_OUTGOING_CA must be a file"):
        provider_accounts.warm()
