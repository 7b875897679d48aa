"""How long a connection may wait for a request, and how many may."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backend.server import bounded_http, idle_connections, options
from backend.up import running
from orders.models import Order
from tests.backend.server.raw import handshake, read_all, read_until
from tests.realtime.serving import Server

ROOT = Path(__file__).resolve().parents[3]
LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PROXIES = 60  # seconds after which nginx and AWS's load balancers close an idle connection


@pytest.fixture
def connect() -> Iterator[Callable[[Server], socket.socket]]:
    with ExitStack() as opened:
        yield lambda server: opened.enter_context(
            socket.create_connection(("127.0.0.1", server.port), 10)
        )


def answers(client: socket.socket) -> bool:
    client.sendall(LIVE)
    return read_until(client, b"alive\n").startswith(b"HTTP/1.1 200 ")


Connect = Callable[[Server], socket.socket]
Start = Callable[..., Server]


def test_connections_are_kept_longer_than_proxies_keep_them() -> None:
    assert options.UVICORN_OPTIONS["timeout_keep_alive"] > PROXIES


@pytest.mark.parametrize("place", ["Dockerfile", "docs/operations.md"])
def test_wherever_a_web_process_is_started_it_is_with_the_same_options(place: str) -> None:
    written = (ROOT / place).read_text().replace('", "', " ")

    assert " ".join(options.uvicorn_arguments()) in written


def test_up_starts_one_with_the_same_options() -> None:
    command = running._command("web", {"host": "127.0.0.1", "port": 1, "sandbox_port": 0})

    assert " ".join(options.uvicorn_arguments()) in " ".join(command)


def test_one_that_is_not_used_any_more_is_closed(
    start_server: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(options.UVICORN_OPTIONS, "timeout_keep_alive", 1)
    server = start_server()
    silent, used = connect(server), connect(server)

    assert answers(used)
    assert read_all(used) == read_all(silent) == b""


def test_one_that_was_opened_ahead_of_its_first_request_waits_as_long_as_between_two(
    start_server: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_TIME", 0.5)
    server = start_server()
    ahead, half = connect(server), connect(server)

    half.sendall(LIVE[:20])
    assert read_all(half) == b""

    assert answers(ahead)


def test_of_too_many_the_longest_idle_is_closed(
    start_server: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    monkeypatch.setattr(idle_connections, "MAX_IDLE", 3)
    server = start_server()
    page = connect(server)
    page.sendall(handshake(order))
    read_until(page, b'"synced"')
    first, second, third = (connect(server) for _ in range(3))
    assert all(answers(each) for each in (first, second, third))
    assert answers(first)

    # The second has now waited longest.
    assert answers(connect(server))

    assert read_all(second) == b""
    assert answers(first)
    assert answers(third)
    page.sendall(b"\x81\x84\x00\x00\x00\x00ping")
    assert read_until(page, b"pong")


def test_silent_ones_count_as_idle(
    start_server: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_connections, "MAX_IDLE", 2)
    server = start_server()
    silent = [connect(server) for _ in range(4)]

    assert [read_all(each) for each in silent[:2]] == [b"", b""]
    assert all(answers(each) for each in silent[2:])
