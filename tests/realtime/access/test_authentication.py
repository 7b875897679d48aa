"""Who may watch what, seen from outside: close codes, and the error before each."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from orders import access
from orders.access import revocation
from orders.models import Order
from realtime.access import authentication
from tests.builders import an_order
from tests.realtime.conftest import NEVER, grow_and_announce, in_thread
from tests.realtime.serving import Server, ServerProcess, page

pytestmark = pytest.mark.usefixtures("either_way")

Start = Callable[..., Server]
STRANGE = "f" * 32


@pytest.fixture
def server(start_server: Start) -> Server:
    """It makes no position checks: what arrives came by a hint, or by reading a hole."""
    return start_server(check=NEVER)


def grant(*refs: str, lifetime: timedelta = timedelta(hours=1)) -> str:
    return access.issue_grant(refs, lifetime)


def log_in(user: User) -> dict[str, str]:
    client = Client()
    client.force_login(user)
    return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}


async def refused(server: Server, path: str, token: str | None) -> tuple[int, str]:
    """The close code, and the text of the error that came before it."""
    async with page(server, path, token=token) as watching:
        code = await watching.close_code()
        error = watching.of("error")[-1]
        assert error["code"] == code
        return code, error["message"]


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


async def test_a_customer_sees_own_orders_by_session(server: Server, order: Order) -> None:
    user = await in_thread(User.objects.create_user, "ada", password="x")
    own = await in_thread(an_order, customer_id=user.pk)
    cookies = await in_thread(log_in, user)

    async with page(server, f"{own.ref}/", token=None, headers=cookies) as watching:
        await watching.synced()
    async with page(server, f"{order.ref}/", token=None, headers=cookies) as other:
        assert await other.close_code() == 4003


async def test_a_page_that_asks_twice_while_its_session_is_looked_up_sees_both(
    server: Server,
) -> None:
    user = await in_thread(User.objects.create_user, "twice", password="x")
    own = [await in_thread(an_order, customer_id=user.pk) for _ in range(2)]
    cookies = await in_thread(log_in, user)

    async with page(server, token=None, headers=cookies) as watching:
        for each in own:
            await watching.say(type="subscribe", subscribe=[{"order": each.ref}])
        for each in own:
            await watching.synced(each.ref)


@pytest.mark.parametrize("ref", ["%00", "%2e%2e", "A" * 32, "0" * 33, "%F0%9F%98%80", "a,b"])
async def test_what_cannot_be_an_order_is_never_asked_for(server: Server, ref: str) -> None:
    """The database refuses a NUL, and whatever else was asked for together with it."""
    user = await in_thread(User.objects.create_user, f"customer-{ref}"[:100])

    assert (await refused(server, f"{ref}/", configured.ORDERCAST_SERVICE_TOKEN))[0] == 4003
    async with page(server, f"{ref}/", token=None, headers=await in_thread(log_in, user)) as theirs:
        assert await theirs.close_code() == 4003


async def test_a_page_of_another_site_does_not_ride_on_the_cookies(
    server: Server, settings: Settings
) -> None:
    settings.ORDERCAST_ORIGINS = ["https://evil.example"]
    user = await in_thread(User.objects.create_user, "ada", password="x")
    own = await in_thread(an_order, customer_id=user.pk)
    headers = {**(await in_thread(log_in, user)), "Origin": "https://evil.example"}

    async with page(server, f"{own.ref}/", token=None, headers=headers) as watching:
        await watching.say(type="hello", subscribe=[])
        await watching.say(type="subscribe", subscribe=[{"order": own.ref}])
        assert await watching.close_code() == 4001

    async with page(server, f"{own.ref}/", token=grant(own.ref), headers=headers) as with_token:
        await with_token.synced()


async def test_logging_out_closes_the_socket(start_server: Start) -> None:
    server = start_server(access_check=0.1)
    user = await in_thread(User.objects.create_user, "ada", password="x")
    own = await in_thread(an_order, customer_id=user.pk)
    cookies = await in_thread(log_in, user)

    async with page(server, f"{own.ref}/", token=None, headers=cookies) as watching:
        await watching.synced()
        await in_thread(_log_out, cookies)
        assert await watching.close_code() == 4003


def _log_out(cookies: dict[str, str]) -> None:
    from django.contrib.sessions.models import Session

    Session.objects.filter(session_key=cookies["Cookie"].removeprefix("sessionid=")).delete()


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


async def test_a_cookie_that_nobody_has_is_no_credentials(start_server: Start) -> None:
    server = start_server(hello=0.2)
    headers = {"Cookie": "sessionid=nobodys", "Origin": server.url}

    async with page(server, token=None, headers=headers) as watching:
        assert await watching.close_code() == 4001


async def test_a_grant_that_has_run_out_beside_such_a_cookie_is_to_be_renewed(
    start_server: Start, order: Order
) -> None:
    server = start_server(hello=0.2)
    headers = {"Cookie": "sessionid=nobodys", "Origin": server.url}
    old = grant(order.ref, lifetime=timedelta(seconds=-1))

    async with page(server, token=None, headers=headers) as watching:
        await watching.say(type="hello", subscribe=[{"order": order.ref, "grant": old}])
        assert await watching.close_code() == 4005


async def test_who_has_logged_in_may_take_his_time_to_ask(start_server: Start) -> None:
    server = start_server(hello=0.2)
    user = await in_thread(User.objects.create_user, "ada", password="x")
    own = await in_thread(an_order, customer_id=user.pk)
    headers = await in_thread(log_in, user)

    async with (
        page(server, token=None) as stranger,
        page(server, token=None, headers=headers) as watching,
    ):
        assert await stranger.close_code() == 4001  # it came before, so the time is over for both
        await watching.say(type="subscribe", subscribe=[{"order": own.ref}])
        await watching.synced(own.ref)


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
