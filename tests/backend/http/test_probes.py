"""Health is asked by an address that is no name of ours: a pod's, a container's, a load balancer's idea of a host."""

from collections.abc import Callable

import pytest
from pytest_django import Settings

from backend.http import healthcheck
from tests.backend.server.raw import exchange, statuses
from tests.realtime.serving import Server

HOSTS = ["10.1.2.3", "10.1.2.3:8000", "[fd00::1]:8000", "localhost", "127.0.0.1:1", "evil.example"]


@pytest.fixture(params=["pay.example.com", ".example.com", "*"])
def served(request: pytest.FixtureRequest, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = [request.param]


def asked(server: Server, path: str, host: str | None, version: str = "1.1") -> list[int]:
    field = "" if host is None else f"Host: {host}\r\n"
    head = f"GET {path} HTTP/{version}\r\n{field}Connection: close\r\n\r\n"
    return statuses(exchange(server, head.encode(), ends=False))


@pytest.mark.usefixtures("served")
def test_probes_answer_any_host(start_server: Callable[..., Server]) -> None:
    server = start_server()
    for path in ("/health/live", "/health/ready"):
        assert [asked(server, path, host) for host in HOSTS] == [[200]] * len(HOSTS)
        assert healthcheck.answers(f"{server.url}{path}")


def test_nothing_else_does(start_server: Callable[..., Server], settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["pay.example.com"]
    server = start_server()

    for path in ("/health/", "/health/live/", "/board/", "/api/orders", "/api/orders/x/stream"):
        assert asked(server, path, "10.1.2.3") == [400]


def test_a_probe_of_http_1_0_needs_no_host_and_one_of_1_1_has_one(
    start_server: Callable[..., Server],
) -> None:
    server = start_server()

    assert asked(server, "/health/live", None, "1.0") == [200]
    assert asked(server, "/health/live", None) == [400]
    assert asked(server, "/health/live", "a\r\nHost: b") == [400]
