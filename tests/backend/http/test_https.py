"""Where the public address is HTTPS, nothing is served by plain HTTP, whoever says that it was none."""

from collections.abc import Callable

import httpx
import pytest
from pytest_django import Settings
from websockets.exceptions import InvalidStatus

from orders.models import Order
from tests.realtime.conftest import (
    accept_by_asgi,
    either_way,
    order,
    start_process,
    start_server,
)
from tests.realtime.serving import Server, ServerProcess, page

__all__ = ["accept_by_asgi", "either_way", "order", "start_process", "start_server"]

BY_HTTPS = {"X-Forwarded-Proto": "https"}


@pytest.fixture
def server(settings: Settings, start_server: "type[Server]") -> Server:
    settings.SECURE_SSL_REDIRECT = True
    return start_server()


@pytest.fixture
def of_a_stranger(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server trusts the word of no address that there is here."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "203.0.113.7")


async def test_a_socket_is_opened_only_by_https(
    server: Server, order: Order, either_way: None
) -> None:
    async with page(server, f"{order.ref}/", headers=BY_HTTPS) as opened:
        await opened.synced()

    with pytest.raises(InvalidStatus) as refused:
        async with page(server, f"{order.ref}/"):
            pass
    assert refused.value.response.status_code == 403
    assert b"https_required" in (refused.value.response.body or b"")


async def test_a_proxy_that_nobody_trusts_cannot_say_that_it_was_https(
    of_a_stranger: None, server: Server, order: Order, either_way: None
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with page(server, f"{order.ref}/", headers=BY_HTTPS):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/api/orders/{ref}/stream", "/board/stream"])
def test_event_streams_are_refused_as_well(server: Server, order: Order, path: str) -> None:
    answer = httpx.get(server.url + path.format(ref=order.ref), trust_env=False)

    assert (answer.status_code, answer.json()["code"]) == (403, "https_required")


# A process: Django's middleware asks the settings once, when it is made.
PUBLIC = {"ORDERCAST_PUBLIC_URL": "https://pay.example.com"}


def log_in_page(server: ServerProcess, **headers: str) -> httpx.Response:
    return httpx.get(f"{server.url}/login/", trust_env=False, headers=headers)


def test_a_page_is_sent_on_to_https_and_a_trusted_proxy_is_believed(
    start_process: Callable[..., ServerProcess],
) -> None:
    server = start_process(**PUBLIC).wait()

    plain = log_in_page(server)

    assert plain.status_code == 301
    assert plain.headers["Location"].startswith("https://")
    assert log_in_page(server, **BY_HTTPS).status_code == 200


def test_a_page_is_sent_on_to_https_whatever_a_stranger_says(
    start_process: Callable[..., ServerProcess],
) -> None:
    server = start_process(**PUBLIC, FORWARDED_ALLOW_IPS="203.0.113.7").wait()

    assert log_in_page(server, **BY_HTTPS).status_code == 301
