"""When sockets are accepted by plain ASGI: a switch, an untested version, or something that stands before us."""

import logging
import re
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from backend.http import asgi_middleware
from backend.http.gateway import Gateway
from backend.server import compatibility
from backend.server.fast_accept import FastAcceptProtocol
from orders.models import Order
from realtime.hub import local, raw_send
from tests.backend.server.raw import the_only_protocol
from tests.realtime.conftest import grow_and_announce
from tests.realtime.serving import Server, ServerProcess, page

PYPROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


async def test_the_way_is_the_one_that_was_chosen(
    start_server: Callable[..., Server], order: Order, either_way: str
) -> None:
    async with page(start_server(), f"{order.ref}/") as watching:
        await watching.synced()

        assert isinstance(the_only_protocol(), FastAcceptProtocol) == (either_way == "fast")


def test_the_dependencies_are_held_to_what_was_tested() -> None:
    written = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]

    for name, (first, end) in compatibility.TESTED.items():
        assert f"{name}>={first},<{end}" in written


def test_what_is_installed_was_tested() -> None:
    assert compatibility.untested() == ""


@pytest.mark.parametrize(
    ("name", "number", "is_tested"),
    [
        ("uvicorn", "0.52.4", False),
        ("uvicorn", "0.53.0", True),
        ("uvicorn", "0.55.0", False),
        ("uvicorn", "1.0", False),
        ("websockets", "16.0", False),
        ("websockets", "16.1", True),
        ("websockets", "18.0", False),
        ("httptools", "0.6.4", False),
    ],
)
def test_a_version_out_of_range_is_named(name: str, number: str, *, is_tested: bool) -> None:
    def installed(package: str) -> str:
        return number if package == name else version(package)

    assert (compatibility.untested(installed) == "") == is_tested
    assert is_tested or f"{name} {number}" in compatibility.untested(installed)


async def test_with_an_untested_version_nothing_knows_the_servers_insides(
    start_server: Callable[..., Server],
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(compatibility, "untested", lambda: "uvicorn 9.9")
    monkeypatch.setattr(raw_send, "knows_server", True)

    compatibility.prepare()
    async with page(start_server(), f"{order.ref}/") as watching:
        await watching.synced()
        await grow_and_announce(order)
        await watching.until(lambda p: p.versions() == [2])
        [connection] = local.running().connections

        assert connection.protocol is None
    assert [r.levelno for r in caplog.records if "untested versions: uvicorn 9.9" in r.message] == [
        logging.WARNING
    ]


def test_a_start_says_once_why_sockets_go_by_asgi(
    start_process: Callable[..., ServerProcess],
) -> None:
    server = start_process(ORDERCAST_FAST_ACCEPT="off").wait()

    said = [line for line in server.output().splitlines() if "plain ASGI" in line]
    assert len(said) == 1
    assert "ORDERCAST_FAST_ACCEPT is off" in said[0]


async def test_middleware_of_the_installation_sees_sockets_streams_and_requests(
    start_process: Callable[..., ServerProcess], order: Order
) -> None:
    server = start_process(
        ORDERCAST_ASGI_MIDDLEWARE=f"{__name__}.Outer, {__name__}.Inner", check=0.2
    ).wait()
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()
        await grow_and_announce(order)
        await watching.until(lambda p: p.versions() == [2])

    seen = re.findall(r"(Outer|Inner) (\w+) (\S*)", server.output())
    assert ("Outer", "websocket", f"/ws/orders/{order.ref}/") in seen
    assert ("Outer", "http", "/health/live") in seen
    assert ("Outer", "lifespan", "-") in seen
    # The first that is named is outermost.
    assert [name for name, kind, _ in seen if kind == "websocket"] == ["Outer", "Inner"]
    assert "sent websocket.accept" in server.output()
    assert "ORDERCAST_ASGI_MIDDLEWARE is set" in server.output()


class Outer:
    """What a tracing middleware does: looks at the scope, and wraps `send`."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        print(f"{type(self).__name__} {scope['type']} {scope.get('path', '-')}", flush=True)

        async def sending(message: Any) -> None:
            print(f"sent {message['type']}", flush=True)
            await send(message)

        await self._app(dict(scope), receive, sending)


class Inner(Outer):
    pass


def test_something_of_somebody_elses_before_the_application_is_noticed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = Gateway(_nobody)

    assert compatibility.fast_accept_of(application) == application.fast_accept
    with caplog.at_level(logging.INFO):
        assert compatibility.fast_accept_of(PassesOn(application)) is None
    assert "PassesOn stands before the application" in caplog.text


class PassesOn:
    """Middleware that lends out whatever the application has."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)


async def _nobody(*_: Any) -> None:
    pass


def is_no_middleware(_app: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("nowhere.Middleware", "ModuleNotFoundError"),
        (f"{__name__}.Nothing", "ImportError"),
        ("no_dots", "ImportError"),
        (f"{__name__}.is_no_middleware", "it made NoneType"),
        (f"{__name__}.A_WORD", "TypeError"),
    ],
)
def test_a_path_that_does_not_work_is_named_with_its_fault(path: str, fault: str) -> None:
    with pytest.raises(ImproperlyConfigured) as wrong:
        asgi_middleware.wrapped(_nobody, [path])

    assert f"names {path!r}" in str(wrong.value)
    assert fault in str(wrong.value)
    assert "OpenTelemetryMiddleware" in str(wrong.value)


A_WORD = "nothing that is called"


def test_nothing_is_wrapped_where_nothing_is_named(settings: Settings) -> None:
    assert settings.ORDERCAST_ASGI_MIDDLEWARE == []
    assert asgi_middleware.wrapped(_nobody, []) is _nobody
