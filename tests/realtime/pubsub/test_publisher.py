"""The worker's side: hints that go out together, over one connection, and trouble that nobody has to wait for."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from pytest_django import Settings

from realtime.pubsub import names
from realtime.pubsub.publisher import Publisher
from tests.ports import free_port
from tests.proxy import Proxy
from tests.realtime.conftest import layers_at

REF = "0" * 32


def hint(version: int, ref: str = REF) -> names.Hint:
    return names.Hint(ref, "epoch", version, f"frame {version}")


@pytest.fixture
def publisher() -> Iterator[Callable[[], Publisher]]:
    """Publishers of the settings as they are then, closed after the test."""
    made: list[Publisher] = []

    def make() -> Publisher:
        made.append(Publisher())
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_no_send_opens_a_connection_after_the_first(
    own_valkey: object,
    own_port: int,
    publisher: Callable[[], Publisher],
    settings: Settings,
) -> None:
    url = f"redis://127.0.0.1:{own_port}/0"  # where nobody else connects meanwhile
    settings.CHANNEL_LAYERS = layers_at(url)
    valkey = redis.Redis.from_url(url)
    mine = publisher()
    mine.announce([hint(1)])
    before = connections_received(valkey)

    for version in range(2, 60):
        assert mine.announce([hint(version), hint(version, "1" * 32)])
    threads = [threading.Thread(target=mine.announce, args=([hint(n)],)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert connections_received(valkey) == before
    valkey.close()


def connections_received(valkey: "redis.Redis") -> int:
    return int(valkey.info("stats")["total_connections_received"])


async def test_all_events_of_an_order_travel_in_one_message(
    valkey: "redis.Redis", publisher: Callable[[], Publisher]
) -> None:
    topic = names.order_topic(REF)
    from channels.layers import channel_layers

    layer = channel_layers.make_backend("default")
    channel = await layer.new_channel()
    await layer.group_add(names.group_name(topic), channel)

    sent = await asyncio.to_thread(publisher().announce, [hint(1), hint(9, "1" * 32), hint(2)])
    message = await asyncio.wait_for(layer.receive(channel), 5)
    await layer.flush()

    assert sent
    assert message == {
        "type": names.HINT,
        "topic": topic,
        "events": [list(hint(1)[1:]), list(hint(2)[1:])],
    }


def test_a_dead_valkey_is_noted_and_not_raised(
    settings: Settings, publisher: Callable[[], Publisher]
) -> None:
    settings.CHANNEL_LAYERS = layers_at(f"redis://127.0.0.1:{free_port()}/0")
    mine = publisher()

    assert not mine.announce([hint(1)])
    assert mine.failed == 1


def test_a_silent_valkey_is_waited_for_a_second_at_most(
    settings: Settings, valkey: "redis.Redis", publisher: Callable[[], Publisher]
) -> None:
    port = int(valkey.config_get("port")["port"] or 0)
    with Proxy(port) as proxy:
        settings.CHANNEL_LAYERS = layers_at(f"redis://127.0.0.1:{proxy.port}/0")
        mine = publisher()
        proxy.is_black_hole = True
        began = time.monotonic()

        assert not mine.announce([hint(n, f"{n:032x}") for n in range(20)])
        assert time.monotonic() - began < 1.5
