"""A socket that is accepted without ASGI has what uvicorn gives one, and holds no more than it needs."""

import asyncio
import gc
import socket
from collections.abc import Callable

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

from backend.server import options
from backend.server.fast_accept import FastAcceptProtocol
from backend.server.http_protocol import HttpProtocol
from backend.server.websocket_protocol import WebSocketProtocol
from orders.models import Order
from realtime.endpoints.session import OrderSocket
from realtime.hub import local
from realtime.hub.connection import Connection
from realtime.hub.topic import Subscription
from tests.backend.server.raw import handshake, the_only_protocol
from tests.realtime.serving import Server, page
from tests.waiting import eventually, eventually_async


async def test_a_socket_that_is_open_keeps_nothing_of_its_handshake(
    start_server: Callable[..., Server], order: Order, accept_by_asgi: Callable[[], None]
) -> None:
    accept_by_asgi()
    server = start_server()
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()
        protocol = the_only_protocol()

        is_ours = type(protocol) is WebSocketProtocol
        assert is_ours
        assert (protocol.request, protocol.response) == (None, None)
        assert protocol.scope["headers"] == []
        # uvicorn's own parser would hold the request in its frame.
        assert protocol.conn.parser.gi_code is Protocol.parse.__code__


async def test_a_socket_that_is_accepted_fast_has_a_parser_when_its_client_speaks(
    start_server: Callable[..., Server], order: Order
) -> None:
    server = start_server()
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()
        protocol = the_only_protocol()

        assert isinstance(protocol, FastAcceptProtocol)
        assert not isinstance(protocol.conn, ServerProtocol)
        await watching.say(type="ping")
        await watching.socket.send("ping")
        await watching.until(lambda p: p.of("pong"))
        assert isinstance(protocol.conn, ServerProtocol)


@pytest.mark.parametrize("ending", ["by the page", "by us", "cut"])
async def test_a_socket_that_has_gone_leaves_nothing_to_the_garbage_collector(
    start_server: Callable[..., Server], order: Order, ending: str
) -> None:
    server = start_server(close_grace=0.05)
    gc.collect()
    gc.disable()
    try:
        async with page(server, f"{order.ref}/") as watching:
            await watching.synced()
            assert len(parts_of_sockets()) >= 4
            if ending == "by the page":
                await watching.socket.close()
            elif ending == "by us":
                await watching.socket.send("nonsense")
                assert await watching.close_code() == 4400
            else:
                watching.socket.transport.abort()
            await eventually_async(lambda: not parts_of_sockets())
    finally:
        gc.enable()


def parts_of_sockets() -> list[str]:
    parts = (HttpProtocol, FastAcceptProtocol, OrderSocket, Connection, Subscription)
    return [type(each).__name__ for each in gc.get_objects() if type(each) in parts]


def test_a_socket_that_is_accepted_fast_has_all_that_uvicorn_gives_one(
    start_server: Callable[..., Server], order: Order
) -> None:
    """Its own beginning stands in for uvicorn's: what that adds one day, this has to add too."""
    left_out = {
        *("app", "app_state", "asgi_version", "default_headers", "root_path", "tasks")
    }  # for a task, and for the answer to a handshake
    server, loop = start_server(), asyncio.new_event_loop()
    theirs = WebSocketsSansIOProtocol(server.config, ServerState(), {}, loop)
    loop.close()

    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(handshake(order))
        eventually(lambda: local.running().connections)
        ours = the_only_protocol()

        assert {name for name in vars(theirs) if not hasattr(ours, name)} == left_out


async def test_a_client_that_answers_pings_stays(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    monkeypatch.setattr(
        options, "UVICORN_OPTIONS", {**options.UVICORN_OPTIONS, "ws_ping_interval": 0.05}
    )
    async with page(start_server(), f"{order.ref}/") as watching:
        await watching.synced()
        protocol = the_only_protocol()

        for _ in range(2):
            last = protocol.last_ping_rtt
            await eventually_async(lambda last=last: protocol.last_ping_rtt != last)

        assert not watching.of("error")
        assert watching.closed is None
        # A page that only listens needs no parser.
        assert not isinstance(protocol.conn, ServerProtocol)
        await watching.say(type="ping")
        await eventually_async(lambda: isinstance(protocol.conn, ServerProtocol))
        last = protocol.last_ping_rtt
        await eventually_async(lambda: protocol.last_ping_rtt != last)


def test_a_client_that_answers_no_ping_is_closed(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    pings = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.05}
    monkeypatch.setattr(options, "UVICORN_OPTIONS", {**options.UVICORN_OPTIONS, **pings})
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(handshake(order))
        said = b""
        while data := client.recv(65_536):
            said += data

    assert (1011).to_bytes(2) + b"keepalive ping timeout" in said
    eventually(lambda: not local.running().connections)
