"""The browser client on the connections that people have; what a page was told is compared with the journal."""

import os
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import WebSocketRoute
from pytest_django import Settings

from orders import access
from orders.models import Order
from tests.browser.conftest import Reader
from tests.browser.listening import Listener, journal, listening
from tests.browser.shop import Shop
from tests.builders import an_order, move
from tests.realtime.serving import Server, ServerProcess

pytestmark = pytest.mark.browser

WAY = ("start", "process", "fail", "start", "authorise", "pay", "refund_changed")


@pytest.fixture
def server(start_server: Callable[..., Server], settings: Settings, shop: Shop) -> Server:
    settings.ORDERCAST_ORIGINS = [shop.origin]
    return start_server(check=0.1, access_check=0.1)


@pytest.fixture
def process(start_process: Callable[..., ServerProcess], shop: Shop) -> ServerProcess:
    return start_process(check=0.1, drain=0.5, ORDERCAST_ORIGINS=shop.origin).wait()


def grant(order: Order, **lifetime: float) -> str:
    return access.issue_grant([order.ref], timedelta(**lifetime or {"hours": 1}))


def test_offline_again_and_again_misses_nothing_and_hears_nothing_twice(
    server: Server, shop: Shop, reader: Reader
) -> None:
    reader.expected = ["ERR_INTERNET_DISCONNECTED"]
    order = an_order()
    page = listening(reader, shop, server.url)
    page.watch(order, grant=grant(order))
    page.becomes("live")

    for at, name in enumerate(WAY):
        reader.context.set_offline(at % 2 == 0)
        if at % 2 == 0:
            page.becomes("reconnecting")
        move(order.ref, name)
    reader.context.set_offline(False)
    page.has_heard(order.version + len(WAY))

    assert page.log == journal(order, after=order.version)


def test_a_server_that_is_killed_and_comes_back_costs_the_page_nothing(
    process: ServerProcess, shop: Shop, reader: Reader
) -> None:
    reader.expected = ["WebSocket connection", "ERR_CONNECTION_REFUSED"]
    order = an_order()
    page = listening(reader, shop, process.url)
    page.watch(order, grant=grant(order))
    page.becomes("live", "websocket")
    move(order.ref, "start")
    page.has_heard(2)

    os.kill(process.process.pid, signal.SIGKILL)
    process.process.wait()
    page.becomes("reconnecting")
    move(order.ref, "process")
    process.start()
    process.wait()
    page.becomes("live")
    move(order.ref, "pay")
    page.has_heard(4)

    assert page.log == journal(order, after=1)


def test_a_server_that_is_stopped_for_a_deploy_sends_its_pages_on_before_it_goes(
    process: ServerProcess, shop: Shop, reader: Reader
) -> None:
    reader.expected = ["WebSocket connection", "ERR_CONNECTION_REFUSED"]
    order = an_order()
    page = listening(reader, shop, process.url)
    page.watch(order, grant=grant(order))
    page.becomes("live")

    process.process.send_signal(signal.SIGTERM)
    process.process.wait()
    page.becomes("reconnecting")
    move(order.ref, "pay")
    process.start()
    process.wait()
    page.has_heard(2)

    assert page.log == journal(order, after=1)


@pytest.mark.parametrize("credential", ["grant", "token"])
def test_what_runs_out_is_renewed_and_nothing_is_missed(
    server: Server, shop: Shop, reader: Reader, credential: str
) -> None:
    order = an_order()
    page = listening(reader, shop, server.url, fresh=grant(order))
    page.watch(order, **{credential: grant(order, seconds=1.5)})
    page.becomes("live")

    with page.page.expect_request("**/fresh"):
        move(order.ref, "start")
    move(order.ref, "pay")
    page.has_heard(3)

    page.becomes("live")
    assert page.log == journal(order, after=1)


@pytest.mark.parametrize("credential", ["grant", "token"])
def test_what_runs_out_and_cannot_be_renewed_stops_and_says_why(
    server: Server, shop: Shop, reader: Reader, credential: str
) -> None:
    order = an_order()
    page = listening(reader, shop, server.url, fresh="")
    page.watch(order, **{credential: grant(order, seconds=1.5)})
    page.becomes("live")

    page.becomes("stopped")

    assert page.code == 4005


def test_a_grant_that_runs_out_while_only_http_gets_through_is_renewed(
    server: Server, shop: Shop, reader: Reader
) -> None:
    reader.expected = ["status of 401"]
    reader.context.route_web_socket("**/ws/**", WebSocketRoute.close)
    order = an_order()
    page = listening(reader, shop, server.url, fresh=grant(order))
    page.watch(order, grant=grant(order, seconds=-1))

    page.becomes("live", "sse")
    move(order.ref, "pay")
    page.has_heard(2)

    assert page.log == journal(order, after=1)


def test_it_goes_down_to_polling_and_climbs_back_to_the_top(
    server: Server, shop: Shop, reader: Reader
) -> None:
    reader.expected = ["ERR_FAILED"]
    blocked = True

    def gate(socket: WebSocketRoute) -> None:
        socket.close() if blocked else socket.connect_to_server()

    reader.context.route_web_socket("**/ws/**", gate)
    reader.context.route("**/stream", lambda route: route.abort())
    order = an_order()
    page = listening(reader, shop, server.url)
    page.page.clock.install()
    page.watch(order, grant=grant(order))
    page.becomes("polling")
    move(order.ref, "start")
    page.has_heard(2)

    blocked = False
    page.page.clock.fast_forward(40_000)
    page.becomes("live", "websocket")
    move(order.ref, "pay")
    page.has_heard(3)

    assert page.log == journal(order, after=1)


def test_a_hidden_tab_gives_its_socket_back_and_catches_up_when_it_is_looked_at(
    server: Server, shop: Shop, reader: Reader
) -> None:
    order = an_order()
    page = listening(reader, shop, server.url)
    page.page.clock.install()
    page.watch(order, grant=grant(order))
    page.becomes("live")

    look_away(page, hidden=True)
    page.page.clock.fast_forward(61_000)
    page.becomes("asleep")
    for name in WAY:
        move(order.ref, name)
    heard_asleep = page.log
    look_away(page, hidden=False)
    page.has_heard(order.version + len(WAY))

    assert heard_asleep == []
    assert page.log == journal(order, after=1)
    assert len(reader.sockets) == 2


def look_away(page: Listener, *, hidden: bool) -> None:
    """As Chromium tells a page whose tab is left or looked at; Playwright keeps every tab in front."""
    page.page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
