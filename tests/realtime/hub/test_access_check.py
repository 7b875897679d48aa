"""A live page ends within three seconds of what let it in, whether Valkey is there or not."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from orders import access
from realtime.pubsub import publisher
from tests.builders import an_order
from tests.realtime.conftest import layers_at
from tests.realtime.serving import Server

WITHIN = 3.0  # seconds
GRACE = 1.5  # seconds that a busy machine may add


@pytest.fixture(params=["with Valkey", "without Valkey"])
def server(
    request: pytest.FixtureRequest, database: None, valkey: object, settings: Settings
) -> Iterator[Server]:
    publisher.announce([])
    if request.param == "without Valkey":
        settings.VALKEY_URL = "redis://127.0.0.1:1/0"
        settings.CHANNEL_LAYERS = layers_at(settings.VALKEY_URL)
    started = Server()
    yield started
    started.stop()


def test_what_ends_credentials_closes_the_sockets_concerned_and_no_others(
    server: Server, user: Callable[..., Any]
) -> None:
    ref, people = an_order().ref, {name: user(name, "view_order") for name in ENDS}
    shown: dict[str, dict[str, str]] = {}
    for name, person in people.items():
        client = Client()
        client.force_login(person)
        shown[name] = {"cookie": f"sessionid={client.cookies['sessionid'].value}"}
    tokens = {
        "a grant": access.issue_grant([ref]),
        "a user's token": access.issue_user_token(people["the user is revoked"]),
        "a service's token": access.issue_service_token("shop", ["orders:read"]),
    }
    shown |= {name: {"authorization": f"Bearer {token}"} for name, token in tokens.items()}
    kept = {"another grant": {"authorization": f"Bearer {access.issue_grant([ref])}"}}

    with ExitStack() as opened:
        sockets = {
            name: _watch(opened, server, ref, headers) for name, headers in (shown | kept).items()
        }
        began = time.monotonic()
        for name, end in ENDS.items():
            end(people[name], shown[name])
        call_command("revoke", "--token", tokens["a grant"], stdout=StringIO())
        call_command("revoke", "--service", "shop", stdout=StringIO())

        closed = {name: _close_code(sockets[name], began) for name in shown}
        still_open = _close_code(sockets["another grant"], began)

    assert closed == dict.fromkeys(shown, 4003)
    assert still_open is None


def _log_out(_user: Any, headers: dict[str, str]) -> None:
    client = Client()
    client.cookies["sessionid"] = headers["cookie"].removeprefix("sessionid=")
    client.logout()


def _change_password(user: Any, _headers: Any) -> None:
    user.set_password("quite-another-one")
    user.save()


def _deactivate(user: Any, _headers: Any) -> None:
    user.is_active = False
    user.save()


def _revoke(user: Any, _headers: Any) -> None:
    call_command("revoke", "--user", user.username, stdout=StringIO())


ENDS: dict[str, Callable[[Any, dict[str, str]], None]] = {
    "logged out": _log_out,
    "the password is changed": _change_password,
    "the user is deactivated": _deactivate,
    "the user is revoked": _revoke,
}


def _watch(
    opened: ExitStack, server: Server, ref: str, headers: dict[str, str]
) -> ClientConnection:
    address = f"{server.url.replace('http', 'ws')}/ws/orders/{ref}/"
    socket = opened.enter_context(connect(address, additional_headers=headers, proxy=None))
    while json.loads(socket.recv(40))["type"] != "synced":
        pass
    return socket


def _close_code(socket: ClientConnection, began: float) -> int | None:
    """The code, or None if it is still open when the time is over."""
    try:
        while (left := began + WITHIN + GRACE - time.monotonic()) > 0:
            socket.recv(left)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0
    except TimeoutError:
        pass
    return None
