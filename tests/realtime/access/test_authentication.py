"""Tokens and grants, seen from outside: who may watch what, the close codes, and the error before each."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User

from orders import access
from orders.access import revocation
from orders.models import Order
from realtime.access import authentication
from tests.builders import an_order
from tests.realtime.access.asking import STRANGE, grant, log_in, refused
from tests.realtime.conftest import grow_and_announce, in_thread
from tests.realtime.serving import Server, ServerProcess, page

pytestmark = pytest.mark.usefixtures("either_way")

Start = Callable[..., Server]


async def test_a_socket_that_never_says_who_it_is_is_closed(start_server: Start) -> None:
    server = start_server(hello=0.2)
    assert (await refused(server, f"{STRANGE}/", None))[0] == 4001


async def test_a_hello_without_credentials_is_closed_at_once(server: Server) -> None:
    async with page(server, token=None) as watching:
        await watching.say(type="hello", subscribe=[{"order": STRANGE}])
        assert await watching.close_code() == 4001


async def test_bad_not_yours_and_not_there_look_the_same(server: Server, order: Order) -> None:
    not_yours = await refused(server, f"{order.ref}/", grant(STRANGE))
    not_there = await refused(server, f"{STRANGE}/", grant(STRANGE))
    bad = await refused(server, f"{order.ref}/", "not.a.token")

    assert not_yours == not_there == bad
    assert bad[0] == 4003


async def test_an_expired_grant_is_one_to_refresh(server: Server, order: Order) -> None:
    old = grant(order.ref, lifetime=timedelta(seconds=-1))
    assert (await refused(server, f"{order.ref}/", old))[0] == 4005


async def test_a_grant_in_the_address_in_hello_or_with_the_order_opens_it(
    server: Server, order: Order
) -> None:
    good = grant(order.ref)
    async with page(server, f"{order.ref}/?token={good}", token=None) as by_address:
        await by_address.synced()
    async with page(server, f"{order.ref}/", token=None) as by_hello:
        await by_hello.say(type="hello", token=good)
        await by_hello.synced()
    async with page(server, token=None) as by_wish:
        await by_wish.say(type="hello", subscribe=[{"order": order.ref, "grant": good}])
        await by_wish.synced()


async def test_one_order_that_may_not_be_seen_does_not_cost_the_others(
    server: Server, order: Order
) -> None:
    async with page(server, token=grant(order.ref)) as watching:
        await watching.say(type="hello", subscribe=[{"order": STRANGE}, {"order": order.ref}])
        await watching.synced(order.ref)
        await watching.until(lambda p: p.of("error", STRANGE))

    assert watching.of("error")[0]["code"] == 4003


@pytest.mark.parametrize("ref", ["%00", "%2e%2e", "A" * 32, "0" * 33, "%F0%9F%98%80", "a,b"])
async def test_what_cannot_be_an_order_is_never_asked_for(server: Server, ref: str) -> None:
    """The database refuses a NUL, and whatever else was asked for together with it."""
    user = await in_thread(User.objects.create_user, f"customer-{ref}"[:100])

    assert (await refused(server, f"{ref}/", configured.ORDERCAST_SERVICE_TOKEN))[0] == 4003
    async with page(server, f"{ref}/", token=None, headers=await in_thread(log_in, user)) as theirs:
        assert await theirs.close_code() == 4003


async def test_a_token_that_runs_out_closes_its_socket_unless_it_was_refreshed(
    start_server: Start, order: Order
) -> None:
    server = start_server(access_check=0.1)
    short = grant(order.ref, lifetime=timedelta(seconds=1.5))

    async with (
        page(server, f"{order.ref}/", token=short) as lapsing,
        page(server, f"{order.ref}/", token=short) as refreshing,
    ):
        await lapsing.synced()
        await refreshing.synced()
        await refreshing.say(type="refresh", token=grant(order.ref))
        assert await lapsing.close_code() == 4005
        await refreshing.socket.send("ping")
        await refreshing.until(lambda p: p.of("pong"))


async def test_a_grant_that_has_run_out_does_not_cost_the_other_orders(
    server: Server, order: Order
) -> None:
    other = await in_thread(an_order)
    old = grant(other.ref, lifetime=timedelta(seconds=-1))
    wanted = [{"order": other.ref, "grant": old}, {"order": order.ref, "grant": grant(order.ref)}]

    async with page(server, token=None) as watching:
        await watching.say(type="hello", subscribe=wanted)
        await watching.synced(order.ref)
        error = (await watching.until(lambda p: p.of("error", other.ref)))[0]
        await watching.say(
            type="subscribe", subscribe=[{"order": other.ref, "grant": grant(other.ref)}]
        )
        await watching.synced(other.ref)

    assert error["code"] == 4005


async def test_only_grants_that_have_run_out_are_ones_to_refresh(
    server: Server, order: Order
) -> None:
    old = grant(order.ref, lifetime=timedelta(seconds=-1))
    async with page(server, token=None) as watching:
        await watching.say(type="hello", subscribe=[{"order": order.ref, "grant": old}])
        assert await watching.close_code() == 4005


async def test_a_grant_that_runs_out_under_an_open_page_ends_its_own_order_alone(
    start_server: Start, order: Order
) -> None:
    server = start_server(access_check=0.1)
    other = await in_thread(an_order)
    short = grant(other.ref, lifetime=timedelta(seconds=1.5))
    wanted = [{"order": other.ref, "grant": short}, {"order": order.ref, "grant": grant(order.ref)}]

    async with page(server, token=None) as watching:
        await watching.say(type="hello", subscribe=wanted)
        await watching.synced(order.ref)
        await watching.synced(other.ref)
        error = (await watching.until(lambda p: p.of("error", other.ref)))[0]
        await grow_and_announce(order)
        await grow_and_announce(other)
        await watching.until(lambda p: p.versions(order.ref) == [2])

    assert error["code"] == 4005
    assert watching.of("event", other.ref) == []


async def test_the_log_never_shows_a_token(
    start_process: Callable[..., ServerProcess], order: Order
) -> None:
    server = start_process().wait()
    good = grant(order.ref)

    async with page(server, f"{order.ref}/?token={good}", token=None) as watching:
        await watching.synced()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        await client.get(f"/api/orders/{order.ref}?token={good}")

    output = server.output()
    assert f'"WebSocket /ws/orders/{order.ref}/" [accepted]' in output  # and no query at all
    assert good not in output
    assert configured.ORDERCAST_SERVICE_TOKEN not in output


async def test_a_page_that_asks_for_more_keeps_nothing_that_a_revoked_grant_showed(
    start_server: Start, order: Order
) -> None:
    server = start_server(access_check=1.0)
    other = await in_thread(an_order)
    shown = grant(order.ref)
    async with page(server, token=None) as watching:
        await watching.say(type="hello", subscribe=[{"order": order.ref, "grant": shown}])
        await watching.synced(order.ref)
        await in_thread(revoke, shown)
        await watching.say(
            type="subscribe", subscribe=[{"order": other.ref, "grant": grant(other.ref)}]
        )
        await watching.synced(other.ref)

        errors = await watching.until(lambda p: p.of("error", order.ref))
        await grow_and_announce(order)
        await grow_and_announce(other)
        await watching.until(lambda p: p.of("event", other.ref))

    assert [error["code"] for error in errors] == [4003]
    assert watching.of("event", order.ref) == []


def revoke(token: str) -> None:
    held = access.read_token(token)
    revocation.revoke(revocation.token_of(held), actor="test")


async def test_what_is_unsubscribed_before_it_was_answered_is_not_watched(
    server: Server, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, may_answer, answer = await in_thread(an_order), threading.Event(), authentication._seen

    def late(*asks: Any) -> Any:
        may_answer.wait(30)
        return answer(*asks)

    monkeypatch.setattr(authentication, "_seen", late)
    async with page(server, token=grant(order.ref, other.ref)) as watching:
        await watching.say(type="subscribe", subscribe=[{"order": order.ref}, {"order": other.ref}])
        await watching.say(type="unsubscribe", orders=[order.ref])
        await watching.socket.send("ping")
        await watching.until(lambda p: p.of("pong"))
        may_answer.set()
        await watching.synced(other.ref)
        await grow_and_announce(order)
        await grow_and_announce(other)
        await watching.until(lambda p: p.of("event", other.ref))

    assert watching.of("event", order.ref) == watching.of("synced", order.ref) == []
