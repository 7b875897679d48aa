"""What a socket says besides events: its welcome, its heartbeat, its limits, and its farewell."""

import json
import secrets
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import structlog
from pytest_django import Settings
from websockets.exceptions import ConnectionClosed, InvalidStatus

from orders.models import Order
from realtime.access import authentication
from realtime.endpoints import session
from realtime.protocol.messages import MAX_SUBSCRIPTIONS, Close
from tests.realtime.conftest import (
    NEVER,
    announce,
    epoch,
    grow,
    grow_and_announce,
    in_thread,
    many_orders,
)
from tests.realtime.serving import Server, ServerProcess, cursor, page
from tests.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("either_way")

Start = Callable[..., Server]
StartProcess = Callable[..., ServerProcess]


@pytest.fixture
def server(start_server: Start) -> Server:
    """It makes no position checks: what arrives came by a hint, or by reading a hole."""
    return start_server(check=NEVER)


@pytest.mark.parametrize(
    ("offered", "accepted"),
    [(["orders.v1"], "orders.v1"), (["other", "orders.v1"], "orders.v1"), (None, None)],
)
async def test_the_subprotocol_is_accepted_where_it_is_offered(
    server: Server, offered: Any, accepted: str | None
) -> None:
    async with page(server, subprotocols=offered) as watching:
        welcome = await watching.until(lambda p: p.of("welcome"))

        assert watching.socket.subprotocol == accepted
        assert welcome[0]["protocol"] == "orders.v1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "not JSON"),
        ("[]", "a frame is a JSON object"),
        ("{}", "a frame has a type"),
        ('{"type":"dance"}', "hello, subscribe, unsubscribe, refresh or ping"),
        ('{"type":"subscribe"}', "subscribe: Field required"),
        ('{"type":"subscribe","subscribe":[{"order":"x"}]}', "32 lower-case hex characters"),
        ('{"type":"subscribe","subscribe":[{"order":"REF","verison":1}]}', "verison"),
        ('{"type":"subscribe","subscribe":[{"order":"REF","version":-1}]}', "version"),
        ('{"type":"subscribe","subscribe":[{"order":"REF","version":"1"}]}', "version"),
        ("[" * 10_000 + "]" * 10_000, "not JSON"),
        ('"' + "x" * 70_000 + '"', "65536 bytes"),
        (b"binary", "frames are text"),
        # Few characters and many bytes, which a close's reason has no room for.
        ('{"type":"ping","token":"' + "\u0928" * 200 + '"}', "does not know this field"),
        ('{"type":"ping","token":"x' + "\U0001f4e6" * 200 + '"}', "does not know this field"),
    ],
)
async def test_a_message_that_makes_no_sense_is_told_why_and_closed(
    server: Server, text: str | bytes, said: str
) -> None:
    async with page(server) as watching:
        await watching.socket.send(text.replace("REF", "0" * 32) if isinstance(text, str) else text)
        assert await watching.close_code() == 4400

    error = watching.of("error")[-1]
    assert error["code"] == 4400
    assert said in error["message"]


async def test_a_thousand_orders_fit_on_one_socket_and_one_more_does_not(
    server: Server, order: Order
) -> None:
    refs = await in_thread(many_orders, MAX_SUBSCRIPTIONS + 1)
    async with page(server) as watching:
        for start in (0, 500):
            wanted = [{"order": ref} for ref in refs[start : start + 500]]
            await watching.say(type="subscribe", subscribe=wanted)
        await watching.until(lambda p: len(p.of("synced")) == MAX_SUBSCRIPTIONS, 15)
        await watching.say(type="subscribe", subscribe=[{"order": refs[-1]}])
        assert await watching.close_code() == 4009


async def test_a_process_takes_only_so_many_connections(start_server: Start) -> None:
    server = start_server(max_connections=1)
    async with page(server), page(server) as second:
        assert await second.close_code() == 4009


async def test_a_client_that_talks_without_end_is_closed(server: Server) -> None:
    async with page(server) as watching:
        for _ in range(400):
            await watching.socket.send('{"type":"ping"}')
        assert await watching.close_code() == 4400


async def test_a_client_that_asks_for_a_thousand_orders_again_and_again_is_closed(
    server: Server,
) -> None:
    wanted = [{"order": secrets.token_hex(16)} for _ in range(MAX_SUBSCRIPTIONS)]
    async with page(server) as watching:
        with suppress(ConnectionClosed):
            for _ in range(60):
                await watching.say(type="subscribe", subscribe=wanted)
        assert await watching.close_code() == 4400

    assert watching.of("error")[-1]["message"] == "at most 50 messages a second"


async def test_the_bare_text_ping_is_answered_with_the_bare_text_pong(server: Server) -> None:
    async with page(server) as watching:
        await watching.socket.send("ping")
        await watching.until(lambda p: p.of("pong"))


async def test_who_has_pinged_must_go_on_and_who_never_did_may_be_silent(
    start_server: Start, order: Order
) -> None:
    server = start_server(ping=0.2, silence=0.6)
    async with page(server, f"{order.ref}/") as plain, page(server) as speaker:
        await speaker.socket.send("ping")
        assert await speaker.close_code() == 4012
        await plain.until(lambda p: len(p.of("ping")) > 2)
        assert plain.socket.close_code is None


async def test_an_old_socket_is_asked_to_come_anew(start_server: Start, order: Order) -> None:
    server = start_server(max_age=0.5)
    async with page(server, f"{order.ref}/") as watching:
        draining = await watching.until(lambda p: p.of("draining"))
        assert draining[0]["within_ms"] == 500
        assert await watching.close_code() == 4010


async def test_sigterm_sends_pages_away_before_the_process_ends(
    start_process: StartProcess, order: Order
) -> None:
    server = start_process().wait()
    async with (
        page(server, f"{order.ref}/") as one,
        page(server, f"{order.ref}/") as other,
    ):
        await one.synced()
        await other.synced()
        server.process.send_signal(signal.SIGTERM)
        for each in (one, other):
            assert (await each.until(lambda p: p.of("draining")))[0]["within_ms"] > 0
            assert await each.close_code() == 4010
        await eventually_async(lambda: server.process.poll() is not None)

    assert "Traceback" not in server.output()


async def test_nothing_is_lost_or_doubled_over_a_rolling_restart(
    start_process: StartProcess, order: Order
) -> None:
    old, new = start_process(), start_process()
    old.wait(), new.wait()
    word = await epoch()
    async with page(old, f"{order.ref}/{cursor(word, 1)}") as before:
        await before.synced()
        await grow_and_announce(order, 3)
        await before.until(lambda p: p.versions() == [2, 3, 4])
        old.process.send_signal(signal.SIGTERM)
        await grow(order, 2)
        assert await before.close_code() == 4010
    seen = before.versions()
    async with page(new, f"{order.ref}/{cursor(word, seen[-1])}") as after:
        await after.synced()
        await announce(*await grow(order, 2))
        await after.until(lambda p: 8 in p.versions())

    assert seen + after.versions() == list(range(2, 9))


async def test_a_page_that_asks_again_for_its_order_starts_from_the_new_cursor(
    server: Server, order: Order
) -> None:
    word = await epoch()
    await grow(order, 3)
    async with page(server, f"{order.ref}/{cursor(word, 4)}") as watching:
        await watching.synced()
        again = {"order": order.ref, "epoch": word, "version": 2}
        await watching.say(type="subscribe", subscribe=[again])
        await watching.until(lambda p: p.versions() == [3, 4])
        await grow_and_announce(order)
        await watching.until(lambda p: 5 in p.versions())

    assert watching.versions() == [3, 4, 5]


def test_every_close_code_says_what_it_means_and_what_to_do() -> None:
    assert {code.value for code in Close} >= {4001, 4003, 4005, 4008, 4009, 4010, 4012, 4400}
    assert all(code.meaning and code.client for code in Close)
    assert json.dumps(Close.TOO_SLOW) == "4008"


async def test_an_error_of_ours_is_told_and_logged_with_the_sockets_request_id(
    server: Server, order: Order, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.ORDERCAST_TRUST_REQUEST_ID = True
    known: dict[str, Any] = {}

    def fails(_: str) -> None:
        known.update(structlog.contextvars.get_contextvars())
        raise RuntimeError("a defect")

    monkeypatch.setattr(session, "parse_client_frame", fails)
    headers = {"X-Request-ID": "named-by-a-proxy", "X-Forwarded-For": "192.0.2.7"}
    async with page(server, f"{order.ref}/", headers=headers) as watching:
        await watching.say(type="hello", subscribe=[])

        assert await watching.close_code() == Close.INTERNAL
        assert watching.of("error")[0]["message"] == "internal error, reconnect"
    assert known == {"request_id": "named-by-a-proxy", "address": "192.0.2.7"}


@pytest.mark.parametrize("step", ["_logged_in", "_seen"])
async def test_an_error_of_ours_while_it_is_asked_what_a_page_may_see_is_told(
    server: Server, order: Order, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(authentication, step, fails)
    headers = {"Cookie": "sessionid=somebody", "Origin": server.url}
    async with page(server, f"{order.ref}/", token=None, headers=headers) as watching:
        assert await watching.close_code() == Close.INTERNAL
        assert watching.of("error")[0]["message"] == "authentication unavailable, retry"


async def test_who_comes_through_a_trusted_proxy_is_counted_by_his_own_address(
    server: Server, order: Order, settings: Settings
) -> None:
    limit = {"handshake": "2/minute"}
    settings.ORDERCAST_LIMITS = {**settings.ORDERCAST_LIMITS, **limit}

    async def knock(address: str) -> int:
        try:
            async with page(server, headers={"X-Forwarded-For": address}):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    others = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1, 127.0.0.1"
    mine = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"

    assert [await knock(mine) for _ in range(3)] == [101, 101, 429]
    assert await knock(others) == 101
