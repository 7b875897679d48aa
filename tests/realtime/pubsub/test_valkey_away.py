"""Valkey dead, silent, restarted or back: pages are late by a position check at most, and lose nothing."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings as django_settings
from pytest_django import Settings

from backend.up import embedded
from orders.models import Order
from realtime.hub.hub import Hub
from realtime.pubsub import publisher
from realtime.pubsub.names import Hint, group_name, hint_message, order_topic
from realtime.runtime.limits import Timing
from tests.ports import free_port
from tests.proxy import Proxy
from tests.realtime.conftest import NEVER, epoch, grow, grow_and_announce, layers_at
from tests.realtime.serving import Server, ServerProcess, cursor, page
from tests.waiting import eventually_async

Start = Callable[..., Server]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """In front of the run's Valkey."""
    client = redis.Redis.from_url(django_settings.VALKEY_URL)
    port = int(client.config_get("port")["port"] or 0)
    client.close()
    with Proxy(port) as between:
        yield between


def valkey_at(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


async def test_a_page_is_in_step_at_once_and_follows_while_valkey_is_dead(
    start_server: Start, order: Order
) -> None:
    server = start_server(valkey_at(free_port()), check=0.3)
    began = time.monotonic()

    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        await watching.synced()
        assert time.monotonic() - began < 4
        await grow(order, 2)
        await watching.until(lambda p: p.versions() == [2, 3])


async def test_a_connection_on_which_nothing_is_joined_is_replaced(settings: Settings) -> None:
    came: list[int] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A Valkey that takes connections, and says nothing to who wants to hear something."""
        came.append(0)
        while data := await reader.read(65_536):
            if b"SUBSCRIBE" not in data:
                writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.close()

    valkey = await asyncio.start_server(swallow, "127.0.0.1", 0)
    settings.CHANNEL_LAYERS = layers_at(valkey_at(valkey.sockets[0].getsockname()[1]))
    hub = Hub([], Timing(echo=0.02, deaf=0.1))
    hub.start()
    try:
        await eventually_async(lambda: len(came) > 2)
    finally:
        await hub.stop()
        valkey.close()


async def test_a_page_that_subscribed_without_valkey_gets_hints_when_it_is_there(
    start_server: Start,
    order: Order,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    server = start_server(valkey_at(port), check=NEVER, echo=0.2)
    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        await watching.synced()
        await grow(order, 2)
        valkey = embedded.start_valkey(tmp_path, port=port)
        try:
            # Nobody announced these: the layer's coming up is what makes the hub look.
            await watching.until(lambda p: p.versions() == [2, 3], 10)
            monkeypatch.setattr(publisher, "_publisher", None)
            await grow_and_announce(order)
            await watching.until(lambda p: p.versions() == [2, 3, 4])
        finally:
            valkey.stop()


async def test_a_silent_connection_is_replaced_and_what_was_missed_is_read(
    start_server: Start, order: Order, proxy: Proxy
) -> None:
    server = start_server(valkey_at(proxy.port), check=NEVER, echo=0.2, deaf=0.6)
    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        await watching.synced()
        await grow_and_announce(order)
        await watching.until(lambda p: p.versions() == [2])
        proxy.is_black_hole = True
        await grow_and_announce(order, 2)
        async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as newcomer:
            await newcomer.synced()
        proxy.heal()
        await watching.until(lambda p: p.versions() == [2, 3, 4], 15)
        await grow_and_announce(order)
        await watching.until(lambda p: p.versions() == [2, 3, 4, 5], 10)


async def test_a_subscriber_that_reconnects_makes_the_hub_look_at_once(
    start_server: Start, order: Order, valkey: "redis.Redis"
) -> None:
    server = start_server(check=NEVER, echo=0.2)
    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        await watching.synced()
        await grow_and_announce(order)
        await watching.until(lambda p: p.versions() == [2])
        await grow(order, 2)
        valkey.client_kill_filter(_type="pubsub")
        await watching.until(lambda p: p.versions() == [2, 3, 4], 10)


async def test_a_valkey_that_stands_still_costs_nothing_but_time(
    start_server: Start, order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    valkey = embedded.start_valkey(tmp_path, port=port)
    try:
        server = start_server(valkey_at(port), check=0.5, echo=0.2, deaf=0.6)
        monkeypatch.setattr(publisher, "_publisher", None)
        async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
            await watching.synced()
            await grow_and_announce(order)
            await watching.until(lambda p: p.versions() == [2])
            os.kill(valkey.process.pid, signal.SIGSTOP)
            await grow(order, 2)
            await watching.until(lambda p: p.versions() == [2, 3, 4])
            os.kill(valkey.process.pid, signal.SIGCONT)
            await eventually_async(lambda: health(server)["is_up"], 20)
            await grow_and_announce(order)
            await watching.until(lambda p: p.versions() == [2, 3, 4, 5])
    finally:
        valkey.process.send_signal(signal.SIGCONT)
        valkey.stop()


async def test_a_page_that_did_not_wait_for_its_group_is_looked_after_once_it_is_joined(
    start_server: Start, order: Order, tmp_path: Path
) -> None:
    port = free_port()
    valkey = embedded.start_valkey(tmp_path, port=port)
    try:
        # Neither check nor echo: what the page missed is found because its group was joined late, or not at all.
        server = start_server(valkey_at(port), check=NEVER, echo=NEVER, join=0.1)
        await eventually_async(lambda: connected(port))
        os.kill(valkey.process.pid, signal.SIGSTOP)
        async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
            await watching.synced()
            await grow(order)
            os.kill(valkey.process.pid, signal.SIGCONT)
            await watching.until(lambda p: p.versions() == [2])
    finally:
        valkey.process.send_signal(signal.SIGCONT)
        valkey.stop()


def connected(port: int) -> bool:
    with redis.Redis(port=port) as client:
        return len(client.client_list(_type="pubsub")) == 1


async def test_a_hint_that_makes_no_sense_makes_the_hub_look_and_is_not_its_end(
    start_server: Start, order: Order, valkey: "redis.Redis"
) -> None:
    server = start_server(check=NEVER)
    channel = (
        f"{django_settings.ORDERCAST_CHANNEL_PREFIX}__group__{group_name(order_topic(order.ref))}"
    )
    async with page(server, f"{order.ref}/{cursor(await epoch(), 1)}") as watching:
        await watching.synced()
        await grow(order)
        assert valkey.publish(channel, b"\xc1 no msgpack") == 1
        await watching.until(lambda p: p.versions() == [2])
        await grow_and_announce(order)
        await watching.until(lambda p: p.versions() == [2, 3])


async def test_a_forged_hint_shows_a_page_nothing_that_the_journal_does_not_hold(
    start_server: Start, order: Order, valkey: "redis.Redis"
) -> None:
    server = start_server(check=NEVER)
    config: dict[str, Any] = dict(layers_at(django_settings.VALKEY_URL)["default"]["CONFIG"])
    word = await epoch()
    async with page(server, f"{order.ref}/{cursor(word, 1)}") as watching:
        await watching.synced()
        for epoch_, version in ((word, 2), (word, 99), ("another-life", 2), ("another-life", 0)):
            said = {"type": "event", "order": order.ref, "version": version, "is": "forged"}
            await _publish(config, Hint(order.ref, epoch_, version, json.dumps(said)))
            await _publish(config, Hint(order.ref, epoch_, version, json.dumps(said), "0" * 32))
        [hint] = await grow(order)
        await _publish(config, hint._replace(frame='{"type":"event","version":2,"is":"forged"}'))

        await watching.until(lambda p: p.versions() == [2])  # each only made the journal be read
        await grow_and_announce(order)
        await watching.until(lambda p: p.versions() == [2, 3])

    assert not [frame for frame in watching.frames if "is" in frame]
    assert not watching.of("reset")


async def test_two_installations_on_one_valkey_do_not_hear_each_other(
    start_process: Callable[..., ServerProcess], order: Order, valkey: "redis.Redis"
) -> None:
    theirs = start_process(check=NEVER, ORDERCAST_CHANNEL_PREFIX="somebody-else").wait()
    config: dict[str, Any] = dict(layers_at(django_settings.VALKEY_URL)["default"]["CONFIG"])
    async with page(theirs, f"{order.ref}/{cursor(await epoch(), 1)}") as stranger:
        await stranger.synced()
        [hint] = await grow(order)
        ours = hint._replace(frame='{"type":"event","version":2,"is":"ours"}').signed()
        await _publish(config, ours)
        await _publish({**config, "prefix": "somebody-else"}, hint)
        await stranger.until(lambda p: p.of("event"))

    assert "is" not in stranger.of("event")[0]


async def _publish(config: dict[str, Any], hint: Hint) -> None:
    layer = RedisPubSubChannelLayer(**config)
    topic = order_topic(hint.order)
    await layer.group_send(group_name(topic), hint_message(topic, [hint]))
    await layer.flush()


def health(server: Server) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/health/ready", trust_env=False)
    found: dict[str, Any] = answer.json()["hub"]["channel_layer"]
    return found
