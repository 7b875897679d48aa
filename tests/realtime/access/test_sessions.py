"""Sessions, seen from outside: customers who have logged in, cookies of nobody, and pages of other sites."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from orders.models import Order
from tests.builders import an_order
from tests.realtime.access.asking import grant, log_in
from tests.realtime.conftest import in_thread
from tests.realtime.serving import Server, page

pytestmark = pytest.mark.usefixtures("either_way")

Start = Callable[..., Server]


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
