"""An open page and what it may still see: an order that is given away, a permission taken, a token's ways in."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from django.test import Client
from pytest_django import Settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from orders import access
from orders.models import Order
from realtime.pubsub import publisher
from tests.builders import an_order
from tests.realtime.serving import Server

pytestmark = pytest.mark.usefixtures("either_way")

Open = Callable[..., ClientConnection]


@pytest.fixture
def server(database: None, valkey: object, settings: Settings) -> Iterator[Server]:
    publisher.announce([])
    settings.ORDERCAST_REALTIME = {"access_check": 0.1, "hello": 0.5}
    started = Server()
    yield started
    started.stop()


@pytest.fixture
def watch(server: Server) -> Iterator[Open]:
    """Open a socket and wait until it shows each of the orders: of one by its address, of several by `hello`."""
    with ExitStack() as opened:

        def opening(*refs: str, **options: Any) -> ClientConnection:
            path = f"{refs[0]}/" if len(refs) == 1 else ""
            address = f"{server.url.replace('http', 'ws')}/ws/orders/{path}"
            socket: ClientConnection = opened.enter_context(connect(address, proxy=None, **options))
            if len(refs) > 1:
                requests = [{"order": ref} for ref in refs]
                socket.send(json.dumps({"type": "hello", "subscribe": requests}))
            waiting = set(refs)
            while waiting:
                frame = json.loads(socket.recv(40))
                assert frame["type"] in {"welcome", "synced"}, frame
                waiting.discard(frame.get("order"))
            return socket

        yield opening


def as_logged_in(user: Any) -> dict[str, dict[str, str]]:
    client = Client()
    client.force_login(user)
    return {"additional_headers": {"cookie": f"sessionid={client.cookies['sessionid'].value}"}}


def last_word(socket: ClientConnection) -> tuple[int, int]:
    """The code of the error that came last, and of the close."""
    code = 0
    try:
        while True:
            frame = json.loads(socket.recv(40))
            code = frame["code"] if frame["type"] == "error" else code
    except ConnectionClosed as closed:
        return code, closed.rcvd.code if closed.rcvd else 0


def test_who_loses_the_permission_loses_the_page(watch: Open, user: Callable[..., Any]) -> None:
    ref = an_order().ref
    rosa, other = (user(name, "view_order", is_staff=True) for name in ("rosa", "other"))
    shown, kept = (watch(ref, **as_logged_in(each)) for each in (rosa, other))

    rosa.user_permissions.clear()

    assert last_word(shown) == (4003, 4003)
    kept.send("ping")
    assert kept.recv(40) == "pong"


def test_who_loses_the_permission_loses_the_event_stream(
    server: Server, user: Callable[..., Any]
) -> None:
    ref, rosa = an_order().ref, user("rosa", "view_order", is_staff=True)
    cookies = as_logged_in(rosa)["additional_headers"]

    with (
        httpx.Client(base_url=server.url, headers=cookies, trust_env=False, timeout=10) as client,
        client.stream("GET", f"/api/orders/{ref}/stream") as stream,
    ):
        lines = stream.iter_lines()
        assert any(line == "event: synced" for line in lines)
        rosa.user_permissions.clear()
        rest = [line for line in lines if "4003" in line]

    assert len(rest) == 1


def test_an_order_that_is_given_to_another_customer_leaves_the_first_ones_page_and_no_more(
    watch: Open, user: Callable[..., Any]
) -> None:
    rosa, other = user("rosa"), user("other")
    given, kept = (an_order(customer_id=rosa.pk) for _ in range(2))
    alone = watch(given.ref, **as_logged_in(rosa))
    both = watch(given.ref, kept.ref, **as_logged_in(rosa))

    Order.objects.filter(pk=given.pk).update(customer=other)

    assert last_word(alone) == (4003, 4003)
    error = json.loads(both.recv(40))
    assert (error["type"], error["code"], error["order"]) == ("error", 4003, given.ref)
    both.send("ping")
    assert both.recv(40) == "pong"


def test_what_a_grant_shows_stays_whoever_is_logged_in(
    watch: Open, user: Callable[..., Any]
) -> None:
    rosa = user("rosa", "view_order", is_staff=True)
    ref = an_order().ref
    headers = as_logged_in(rosa)["additional_headers"]
    headers["authorization"] = f"Bearer {access.issue_grant([ref])}"
    by_grant, by_log_in = (
        watch(ref, additional_headers=headers),
        watch(ref, **as_logged_in(rosa)),
    )

    rosa.user_permissions.clear()

    assert last_word(by_log_in) == (4003, 4003)
    by_grant.send("ping")
    assert by_grant.recv(40) == "pong"


def test_a_token_in_the_subprotocols_opens_the_page(watch: Open) -> None:
    ref = an_order().ref
    offered = [Subprotocol("orders.v1"), Subprotocol(f"bearer.{access.issue_grant([ref])}")]

    socket = watch(ref, subprotocols=offered)

    assert socket.subprotocol == "orders.v1"  # the token never comes back


def test_a_bad_token_in_the_subprotocols_is_as_bad_as_anywhere(watch: Open) -> None:
    offered = [Subprotocol("orders.v1"), Subprotocol("bearer.not.a.token")]

    with pytest.raises(AssertionError, match="4003"):
        watch(an_order().ref, subprotocols=offered)
