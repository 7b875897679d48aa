"""The stream behind an open staff board: it says when to look again, and to whom."""

import contextlib
import logging
from collections.abc import Callable, Iterator

import httpx
import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import Client

from realtime.board import stream, views
from realtime.board.board import Board
from realtime.hub import local
from tests.builders import an_order
from tests.realtime.serving import Server, socket_that_holds_little
from tests.tcp_table import unread
from tests.waiting import eventually

PATIENCE = 15.0  # seconds without a byte after which a test is over


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that knows nothing of the test before, and looks at log-ins often."""
    monkeypatch.setattr(stream, "ACCESS_CHECK", 0.2)
    fresh = Board()
    for module in (views, stream):
        monkeypatch.setattr(module, "board", fresh)


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


def session_of(user: User) -> dict[str, str]:
    client = Client()
    client.force_login(user)
    return {"sessionid": client.cookies["sessionid"].value}


@pytest.fixture
def lines(server: Server) -> Iterator[Iterator[str]]:
    """What the stream tells Rosa, line by line."""
    cookies = session_of(User.objects.create_superuser("rosa"))
    with (
        httpx.Client(cookies=cookies, trust_env=False, timeout=PATIENCE) as client,
        client.stream("GET", f"{server.url}/board/stream") as answer,
    ):
        assert answer.status_code == 200
        yield answer.iter_lines()


def next_change(lines: Iterator[str]) -> int:
    for _number, line in zip(range(100), lines, strict=False):
        if line.startswith("data: "):
            return int(line.removeprefix("data: "))
    raise AssertionError("no change was told")


def ends(lines: Iterator[str]) -> None:
    """A stream that goes on has a line at least five times a second."""
    for number, _ in enumerate(lines):
        assert number < 50, "the stream goes on"


def test_a_board_is_told_at_once_and_whenever_something_changes(lines: Iterator[str]) -> None:
    first = next_change(lines)

    an_order()
    second = next_change(lines)

    assert second > first


def test_a_board_that_is_not_read_is_cut_and_is_no_error_of_ours(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream, "WRITE", 0.2)
    monkeypatch.setattr(stream, "RETRY", stream.RETRY * 20_000)  # more than the buffers hold
    session = session_of(User.objects.create_superuser("rosa"))["sessionid"]
    head = f"GET /board/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid={session}\r\n\r\n"
    with socket_that_holds_little(server.port) as client:
        client.sendall(head.encode())
        eventually(lambda: unread(server.port, client))

        eventually(lambda: unread(server.port, client) is None)

    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_the_stream_ends_with_the_log_in(lines: Iterator[str]) -> None:
    next_change(lines)

    Session.objects.all().delete()

    ends(lines)


def test_the_stream_ends_when_the_right_to_look_is_taken(lines: Iterator[str]) -> None:
    next_change(lines)

    User.objects.update(is_superuser=False)

    ends(lines)


def test_the_stream_ends_when_the_process_goes_away(lines: Iterator[str]) -> None:
    next_change(lines)

    local.running().is_draining = True

    ends(lines)


def test_a_page_of_another_site_gets_nothing_by_its_visitors_cookie(server: Server) -> None:
    cookies = session_of(User.objects.create_superuser("rosa"))

    foreign = {"origin": "https://evil.example"}
    with (
        httpx.Client(cookies=cookies, trust_env=False, timeout=PATIENCE) as client,
        client.stream("GET", f"{server.url}/board/stream", headers=foreign) as answer,
    ):
        assert answer.status_code == 401


def test_one_look_serves_everybody_for_a_second(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = Board()
    first = looking.look()
    an_order()

    again = looking.look()
    monkeypatch.setattr("realtime.board.board.FRESH", 0)
    later = looking.look()
    connections.close_all()

    assert again is first
    assert (first.figures.open["created"].number, later.figures.open["created"].number) == (0, 1)


def test_one_log_in_has_so_many_boards_open_and_no_more_until_one_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PER_SESSION", 1)
    rosa, ada = (session_of(User.objects.create_superuser(name)) for name in ("rosa", "ada"))

    def opened(cookies: dict[str, str]) -> "contextlib.AbstractContextManager[httpx.Response]":
        client = httpx.Client(cookies=cookies, trust_env=False, timeout=PATIENCE)
        return client.stream("GET", f"{server.url}/board/stream")

    with opened(rosa) as first:
        assert first.status_code == 200
        with opened(rosa) as second:
            assert (second.status_code, second.headers["retry-after"]) == (429, "30")
        with opened(ada) as other:
            assert other.status_code == 200

    def is_let_in() -> bool:
        with opened(rosa) as again:
            return again.status_code == 200

    eventually(is_let_in)
