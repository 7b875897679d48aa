"""What one client orders costs it, and costs the others nothing: one answer to many requests, budgets, and caps."""

import gc
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol

from orders import access
from orders.models import Order
from realtime.access import authentication
from realtime.endpoints import subscribing
from realtime.hub import local
from realtime.protocol.messages import NAMED_REFUSALS, Close
from tests.builders import an_order
from tests.realtime.conftest import in_thread
from tests.realtime.serving import Page, Server, page
from tests.waiting import eventually_async

Start = Callable[..., Server]
MANY = 1_000


def nobodys(many: int) -> list[str]:
    return [secrets.token_hex(16) for _ in range(many)]


async def ask(watching: Page, refs: Sequence[str]) -> None:
    await watching.say(type="subscribe", subscribe=[{"order": ref} for ref in refs])


async def answered(watching: Page) -> None:
    """Everything that was said before is answered: answers come in turn."""
    before = len(watching.of("pong"))
    await watching.socket.send("ping")
    await watching.until(lambda p: len(p.of("pong")) > before, 20)


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The orders that the database is asked about for a page."""
    asked: list[set[str]] = []
    seen = authentication._seen

    def noted(asks: Any) -> Any:
        asked.extend(wanted for _, wanted in asks)
        return seen(asks)

    monkeypatch.setattr(authentication, "_seen", noted)
    return asked


class TestRefusals:
    async def test_a_guest_who_asks_for_a_thousand_orders_of_nobody_gets_one_answer(
        self, start_server: Start, order: Order, lookups: list[set[str]]
    ) -> None:
        server, refs = start_server(), nobodys(MANY)
        async with page(server, token=access.issue_grant([order.ref])) as watching:
            await ask(watching, refs)
            await answered(watching)

            assert watching.of("error") == [
                {
                    "type": "error",
                    "code": Close.FORBIDDEN,
                    "message": Close.FORBIDDEN.meaning,
                    "orders": refs[:NAMED_REFUSALS],
                    "count": MANY,
                }
            ]
        assert lookups == []  # refused before any order is looked for

    async def test_his_own_order_among_them_is_shown(
        self, start_server: Start, order: Order, lookups: list[set[str]]
    ) -> None:
        server, refs = start_server(), nobodys(3)
        async with page(server, token=access.issue_grant([order.ref])) as watching:
            await ask(watching, [*refs[:2], order.ref, refs[2]])
            await watching.synced(order.ref)

            (error,) = watching.of("error")
            assert (error["orders"], error["count"]) == (refs, 3)
        assert lookups == [{order.ref}]

    async def test_one_alone_is_named_as_ever(self, start_server: Start, order: Order) -> None:
        server, (ref,) = start_server(), nobodys(1)
        async with page(server, token=access.issue_grant([order.ref])) as watching:
            await ask(watching, [ref])
            await answered(watching)

            (error,) = watching.of("error")
            assert (error["order"], "orders" in error, "count" in error) == (ref, False, False)

    async def test_a_user_who_asks_for_those_of_others_gets_one_answer_too(
        self, start_server: Start
    ) -> None:
        server, refs = start_server(), nobodys(MANY)
        user = await in_thread(User.objects.create_user, "ada")
        async with page(server, token=access.issue_user_token(user)) as watching:
            await ask(watching, refs)
            await watching.until(lambda p: p.of("error"), 20)
            await answered(watching)

            (error,) = watching.of("error")
            assert (error["orders"], error["count"]) == (refs[:NAMED_REFUSALS], MANY)

    async def test_a_service_hears_of_each_order_that_is_not_there(
        self, start_server: Start
    ) -> None:
        server, refs = start_server(), nobodys(50)
        async with page(server) as watching:
            await ask(watching, refs)

            def named() -> set[str]:
                errors = watching.of("error")
                return {ref for e in errors for ref in e.get("orders", [e.get("order")])}

            await eventually_async(lambda: named() == set(refs), 20)
            assert len(watching.of("error")) < 25

    async def test_what_is_unsubscribed_while_the_rest_has_its_turn_is_not_shown(
        self, start_server: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subscribing, "ORDERS_IN_A_SLICE", 1)
        server = start_server()
        first, last = [(await in_thread(an_order)).ref for _ in range(2)]
        async with page(server) as watching:
            held: list[Any] = []
            turns = local.running  # the hub is made by the first page
            await watching.until(lambda p: p.of("welcome"))
            hub = turns()
            monkeypatch.setattr(hub.turns, "add", held.append)
            await ask(watching, [first, last])
            await eventually_async(lambda: held, 10)
            (registering,) = held
            await self._step(server, registering)
            await watching.say(type="unsubscribe", orders=[last])
            await answered(watching)
            await self._step(server, registering)
            await watching.synced(first)
            await answered(watching)

            assert watching.of("synced", last) == []

    async def _step(self, server: Server, work: Any) -> None:
        """On the server's own loop."""
        loop = local._loop
        assert loop is not None
        loop.call_soon_threadsafe(next, work, None)
        del server


class TestBudgets:
    async def test_what_a_grant_asks_for_is_counted_over_all_its_sockets(
        self, start_server: Start, order: Order
    ) -> None:
        server = start_server(orders=60.0)  # a second, and twenty times that at once
        grant = access.issue_grant([order.ref])
        async with page(server, token=grant) as one, page(server, token=grant) as two:
            await ask(one, nobodys(MANY))
            await answered(one)
            assert one.of("error")[0]["count"] == MANY

            await ask(two, nobodys(MANY))
            assert await two.close_code() == Close.TOO_MANY
            (error,) = two.of("error")
            assert error["code"] == Close.TOO_MANY
            assert error["message"].startswith("at most 3600 orders a minute for each grant")

    async def test_the_budget_of_one_is_not_that_of_another(
        self, start_server: Start, order: Order
    ) -> None:
        server = start_server(orders=60.0)
        spent, fresh = (access.issue_grant([order.ref]) for _ in range(2))
        async with page(server, token=spent) as one:
            await ask(one, nobodys(MANY))
            await ask(one, nobodys(MANY))
            assert await one.close_code() == Close.TOO_MANY
        async with page(server, token=fresh) as two:
            await ask(two, [order.ref])
            await two.synced(order.ref)

    async def test_an_address_has_one_too_whatever_it_shows(
        self, start_server: Start, order: Order
    ) -> None:
        server = start_server(orders=10.0)  # 100 for an address, and 2,000 at once
        codes = []
        for _ in range(20):
            async with page(server, token=access.issue_grant([order.ref])) as watching:
                await ask(watching, nobodys(150))
                await watching.socket.send("ping")
                await watching.until(lambda p: p.of("error"), 20)
                codes.append(watching.of("error")[0]["code"])

        assert codes[0] == Close.FORBIDDEN
        assert codes[-1] == Close.TOO_MANY

    async def test_a_service_is_not_counted(self, start_server: Start, order: Order) -> None:
        server = start_server(orders=1.0)
        async with page(server) as watching:
            await ask(watching, nobodys(200))
            await ask(watching, [order.ref])
            await watching.synced(order.ref)


async def stream(server: Server, ref: str, token: str, stack: AsyncExitStack) -> httpx.Response:
    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=20))
    headers = {"Authorization": f"Bearer {token}"}
    where = f"{server.url}/api/orders/{ref}/stream"
    return await stack.enter_async_context(client.stream("GET", where, headers=headers))


async def is_taken(watching: Page, ref: str) -> bool:
    await watching.until(lambda p: p.of("synced", ref) or p.of("error"), 20)
    return bool(watching.of("synced", ref))


@pytest.mark.usefixtures("either_way")
class TestCaps:
    async def test_a_grant_has_so_many_sockets_and_no_more_until_one_is_closed(
        self, start_server: Start, order: Order
    ) -> None:
        server = start_server(per_grant=2)
        grant, where = access.issue_grant([order.ref]), f"{order.ref}/"
        async with page(server, where, token=grant) as one:
            async with page(server, where, token=grant) as two:
                assert await is_taken(one, order.ref)
                assert await is_taken(two, order.ref)
                async with page(server, where, token=grant) as three:
                    assert await three.close_code() == Close.TOO_MANY
                    (error,) = three.of("error")
                    assert error["message"].startswith("at most 2 connections for each grant")
                other = access.issue_grant([order.ref])
                async with page(server, where, token=other) as four:
                    assert await is_taken(four, order.ref)

            async def comes_back() -> bool:
                async with page(server, where, token=grant) as five:
                    return await is_taken(five, order.ref)

            await _until_true(comes_back)

    @pytest.mark.parametrize("how", ["hello", "subscribe", "session"])
    async def test_however_it_is_shown(self, start_server: Start, how: str) -> None:
        server = start_server(per_grant=1, per_user=1)
        user = await in_thread(User.objects.create_user, "ada")
        ref = (await in_thread(lambda: an_order(customer_id=user.pk))).ref
        grant = access.issue_grant([ref])
        headers = {}
        if how == "session":

            def log_in() -> str:
                client = Client()
                client.force_login(user)
                return client.cookies["sessionid"].value

            headers = {"Cookie": f"sessionid={await in_thread(log_in)}"}

        async def show(watching: Page) -> bool:
            wanted = {"order": ref, **({"grant": grant} if how == "subscribe" else {})}
            token = {"token": grant} if how == "hello" else {}
            await watching.say(type="hello", subscribe=[wanted], **token)
            return await is_taken(watching, ref)

        async with page(server, token=None, headers=headers) as one:
            assert await show(one)
            async with page(server, token=None, headers=headers) as two:
                assert not await show(two)
                assert await two.close_code() == Close.TOO_MANY

    async def test_a_users_tokens_and_streams_count_together(self, start_server: Start) -> None:
        server = start_server(per_user=2)
        user = await in_thread(User.objects.create_user, "ada")
        ref = (await in_thread(lambda: an_order(customer_id=user.pk))).ref
        tokens = [access.issue_user_token(user) for _ in range(3)]
        async with AsyncExitStack() as stack:
            assert (await stream(server, ref, tokens[0], stack)).status_code == 200
            async with page(server, f"{ref}/", token=tokens[1]) as one:
                assert await is_taken(one, ref)
                refused = await stream(server, ref, tokens[2], stack)
                assert refused.status_code == 429
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.headers["content-type"] == "application/problem+json"
                async with page(server, f"{ref}/", token=tokens[2]) as two:
                    assert await two.close_code() == Close.TOO_MANY

    async def test_an_address_has_so_many_whatever_they_show(
        self, start_server: Start, order: Order
    ) -> None:
        server = start_server(per_address=2)
        async with page(server, token=None) as one, page(server, token=None) as two:
            await one.until(lambda p: p.of("welcome"))
            await two.until(lambda p: p.of("welcome"))
            async with page(server, token=access.issue_grant([order.ref])) as three:
                assert await three.close_code() == Close.TOO_MANY
            async with AsyncExitStack() as stack:
                token = access.issue_grant([order.ref])
                assert (await stream(server, order.ref, token, stack)).status_code == 429

    async def test_services_are_free(self, start_server: Start, order: Order) -> None:
        server = start_server(per_address=1, per_grant=1, per_user=1)
        issued = access.issue_service_token("shop", ["orders:read"])
        async with AsyncExitStack() as stack:
            for token in ("", "", issued, issued):
                opened = page(server, f"{order.ref}/", token=token)
                assert await is_taken(await stack.enter_async_context(opened), order.ref)
            assert (await stream(server, order.ref, issued, stack)).status_code == 200
            guest = page(server, f"{order.ref}/", token=access.issue_grant([order.ref]))
            assert await is_taken(await stack.enter_async_context(guest), order.ref)

    async def test_one_that_says_later_that_it_is_a_service_is_counted_no_more(
        self, start_server: Start, order: Order
    ) -> None:
        server = start_server(per_address=1)
        token = access.issue_service_token("shop", ["orders:read"])
        async with page(server, token=None) as one:
            await one.say(type="hello", token=token, subscribe=[{"order": order.ref}])
            assert await is_taken(one, order.ref)
            async with page(server, token=access.issue_grant([order.ref])) as two:
                await answered(two)


async def _until_true(what: Callable[[], Any]) -> None:
    for _ in range(50):
        if await what():
            return
    raise AssertionError("it was never let in again")


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("either_way", "_no_collector")
async def test_what_a_socket_has_sent_is_let_go_with_it_and_waits_for_no_garbage_collector(
    start_server: Start, order: Order
) -> None:
    server = start_server(per_grant=1)

    def held() -> int:
        return sum(isinstance(each, ServerProtocol) for each in gc.get_objects())

    before = held()
    for _ in range(5):
        grant = access.issue_grant([order.ref])
        async with page(server, token=grant) as one:
            await ask(one, nobodys(MANY))
            await answered(one)
            async with page(server, token=grant) as refused:
                with suppress(ConnectionClosed):  # it may have been told to go by now
                    await ask(refused, nobodys(MANY))
                await refused.close_code()

    await eventually_async(lambda: held() == before, 20)
