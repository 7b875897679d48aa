"""A thousand customers pay and no callback ever comes: each order ends true, and the page of each sees it."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from websockets.sync.client import ClientConnection, connect

from orders import access
from orders.domain.states import State
from orders.models import Order, Payment, PaymentCheck
from orders.schedule.profiles import JITTER, PROFILES, Profile
from realtime.pubsub import publisher
from tests.builders import at_once
from tests.realtime.serving import Server
from tests.sandbox import SandboxProcess
from tests.workers.conftest import begun
from workers import reconciler

COUNT = 1_000
FIRST_STEP = PROFILES[Profile.WAITING][0] * (1 + JITTER)


@pytest.fixture
def server(provider: SandboxProcess, settings: Settings) -> Iterator[Server]:
    """A web process. No worker runs, so that every announcement is lost as well, and what this process commits comes
    to it as from another."""
    publisher.announce([])
    settings.ORDERCAST_REALTIME = {"direct": False}
    started = Server()
    yield started
    started.stop()


def sold_and_paid(provider: SandboxProcess) -> str:
    """An order that is paid at the provider, and here is not known to be."""
    try:
        order, payment = begun()
        provider.act(payment.provider_ref, "pay")
        return order.ref
    finally:
        connection.close()


@contextmanager
def page_of(server: Server, refs: list[str]) -> Iterator[ClientConnection]:
    """A socket that watches them with a grant, as a page with a list does."""
    address = f"{server.url.replace('http', 'ws')}/ws/orders/"
    shown = {"authorization": f"Bearer {access.issue_grant(refs)}"}
    with connect(address, additional_headers=shown, proxy=None) as socket:
        socket.send(json.dumps({"type": "hello", "subscribe": [{"order": ref} for ref in refs]}))
        yield socket


def until_paid(socket: ClientConnection, refs: list[str]) -> Counter[str]:
    """Read on until the page shows all as paid; how often each became so."""
    became: Counter[str] = Counter()
    while set(refs) - became.keys():
        frame = json.loads(socket.recv(30))
        if frame["type"] in {"event", "synced"} and frame["state"] == State.PAID:
            became[frame["order"]] += 1
    return became


def test_a_thousand_lost_callbacks_are_made_good_by_one_look_each_and_every_page_sees_it(
    provider: SandboxProcess, server: Server, settings: Settings
) -> None:
    settings.ORDERCAST_PROVIDER_RATE = COUNT  # in a second, over all workers
    with ThreadPoolExecutor(4) as shop:
        refs = list(shop.map(sold_and_paid, [provider] * COUNT))
    assert set(Order.objects.values_list("state", flat=True)) == {State.AWAITING_PAYMENT}
    assert not Payment.objects.filter(next_check_at__gt=timezone.now() + FIRST_STEP).exists()
    asked = provider.control("GET", "calls").get("fetch", 0)

    with ExitStack() as opened:
        lists = [refs[at :: COUNT // 50] for at in range(COUNT // 50)]
        pages = [(opened.enter_context(page_of(server, part)), part) for part in lists]
        Payment.objects.update(next_check_at=timezone.now())  # its first step has come
        ticks = at_once(reconciler.tick, reconciler.tick)
        seen: Counter[str] = Counter()
        for page, part in pages:
            seen += until_paid(page, part)

    assert sum(tick.checked for tick in ticks if isinstance(tick, reconciler.Tick)) == COUNT
    assert set(Order.objects.values_list("state", flat=True)) == {State.PAID}
    assert set(Counter(PaymentCheck.objects.values_list("payment", flat=True)).values()) == {1}
    assert provider.control("GET", "calls")["fetch"] - asked == COUNT
    assert seen == Counter(refs)
