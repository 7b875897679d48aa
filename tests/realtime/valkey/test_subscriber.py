"""The subscriber on a real Valkey: what it hears, and that it comes back from whatever befalls its connection."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from backend import embedded
from backend.servers import Server
from realtime import subscriber as module
from realtime.subscriber import Subscriber
from tests.plugin import free_port
from tests.realtime.valkey.certificates import for_localhost
from tests.realtime.valkey.relay import Relay, relay
from tests.waiting import eventually_async

PATIENT = 20.0  # seconds; a machine may be busy


@dataclass
class Heard:
    """A subscriber that is running, and all that it said."""

    subscriber: Subscriber
    messages: list[tuple[bytes, bytes]] = field(default_factory=list)
    joined: list[tuple[bytes, bool]] = field(default_factory=list)

    async def until(self, what: Callable[["Heard"], Any]) -> None:
        try:
            await eventually_async(lambda: what(self), PATIENT)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self}") from None

    async def until_joined(self, *channels: bytes) -> None:
        await self.until(lambda h: all(h.subscriber.is_joined(each) for each in channels))


@asynccontextmanager
async def listening(url: str, *channels: bytes, **options: Any) -> AsyncIterator[Heard]:
    """A subscriber that has joined the channels."""
    messages: list[tuple[bytes, bytes]] = []
    joined: list[tuple[bytes, bool]] = []

    def on_joined(channel: bytes, *, is_again: bool) -> None:
        joined.append((channel, is_again))

    made = Subscriber(
        {"address": url, "socket_timeout": 2, "socket_connect_timeout": 2, **options},
        on_message=lambda channel, body: messages.append((channel, body)),
        on_joined=on_joined,
    )
    running = asyncio.create_task(made.run())
    heard = Heard(made, messages, joined)
    try:
        for each in channels:
            made.join(each)
        await heard.until_joined(*channels)
        yield heard
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
def port(valkey: "redis.Redis") -> int:
    """Where the run's own Valkey listens on TCP."""
    return int(valkey.config_get("port")["port"] or 0)


@pytest.fixture
def own_port() -> int:
    return free_port()


@pytest.fixture
def own_valkey(tmp_path: Path, own_port: int) -> Iterator[Server]:
    """A Valkey that a test may mistreat."""
    server = embedded.start_valkey(tmp_path, port=own_port)
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.stop()


def tcp(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


async def test_what_is_published_on_a_joined_channel_is_heard_in_its_order(
    valkey: "redis.Redis",
) -> None:
    async with listening(settings.VALKEY_URL, b"one", b"two") as heard:
        sent = [
            (b"one", b"a"),
            (b"two", b"b\r\n*3\r\n"),
            (b"one", b""),
            (b"two", bytes(range(256))),
        ]
        for channel, body in sent:
            valkey.publish(channel, body)
        valkey.publish(b"three", b"nobody asked for this")
        valkey.publish(b"one", b"the end")

        await heard.until(lambda h: h.messages[-1:] == [(b"one", b"the end")])

    assert heard.messages == [*sent, (b"one", b"the end")]
    assert sorted(heard.joined) == [(b"one", False), (b"two", False)]


@pytest.mark.parametrize("piece", [1, 7, 40])
async def test_messages_come_whole_wherever_the_stream_is_cut(
    valkey: "redis.Redis", port: int, piece: int
) -> None:
    async with relay(port, piece=piece) as between, listening(tcp(between.port), b"c") as heard:
        bodies = [b"x" * size for size in (0, 1, 9, 10, 99, 100)]
        for body in bodies:
            valkey.publish(b"c", body)

        await heard.until(lambda h: len(h.messages) == len(bodies))

    assert [body for _, body in heard.messages] == bodies


async def test_a_channel_that_was_left_is_not_heard_and_one_wanted_again_is(
    valkey: "redis.Redis",
) -> None:
    async with listening(settings.VALKEY_URL, b"left", b"again") as heard:
        heard.subscriber.leave(b"left")
        heard.subscriber.leave(b"again")
        heard.subscriber.join(b"again")
        assert not heard.subscriber.is_joined(b"again")
        await heard.until_joined(b"again")
        for channel in (b"left", b"again"):
            valkey.publish(channel, b"")
        await heard.until(lambda h: h.messages)

    assert heard.messages == [(b"again", b"")]


async def test_a_channel_counts_as_joined_only_when_no_leave_is_under_way(
    valkey: "redis.Redis", port: int
) -> None:
    async with relay(port, piece=1) as between, listening(tcp(between.port), b"c") as heard:
        seen: list[bool] = []
        for _ in range(3):
            heard.subscriber.leave(b"c")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            heard.subscriber.join(b"c")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(heard.subscriber.is_joined(b"c"))
        await heard.until_joined(b"c")
        valkey.publish(b"c", b"heard")
        await heard.until(lambda h: h.messages)

    assert seen == [False, False, False]
    assert heard.joined == [(b"c", False), (b"c", False)]


async def test_a_thousand_channels_are_joined_with_a_few_commands(valkey: "redis.Redis") -> None:
    names = [b"many.%d" % number for number in range(1_000)]

    def subscribes() -> int:
        return int(valkey.info("commandstats").get("cmdstat_subscribe", {}).get("calls", 0))

    before = subscribes()
    async with listening(settings.VALKEY_URL, *names) as heard:
        assert heard.subscriber.counts() == (1_000, 1_000)
        assert subscribes() - before == 5
        assert set(valkey.pubsub_channels("many.*")) == set(names)
        for each in names:
            heard.subscriber.leave(each)
        await eventually_async(lambda: not valkey.pubsub_channels("many.*"), PATIENT)


async def test_a_connection_that_valkey_closes_is_replaced_and_every_channel_joined_anew(
    valkey: "redis.Redis",
) -> None:
    async with listening(settings.VALKEY_URL, b"one", b"two") as heard:
        heard.joined.clear()
        valkey.client_kill_filter(_type="pubsub")
        await heard.until(lambda h: len(h.joined) == 2)
        heard.subscriber.join(b"three")
        await heard.until_joined(b"one", b"two", b"three")
        valkey.publish(b"two", b"after")
        await heard.until(lambda h: h.messages == [(b"two", b"after")])

    assert sorted(heard.joined) == [(b"one", True), (b"three", False), (b"two", True)]


async def test_valkey_may_die_and_be_started_again(
    own_valkey: Server, own_port: int, tmp_path: Path
) -> None:
    async with listening(tcp(own_port), b"kept", b"left") as heard:
        own_valkey.process.kill()
        await heard.until(lambda h: not h.subscriber.is_joined(b"kept"))
        heard.subscriber.leave(b"left")
        heard.subscriber.join(b"new")
        again = await asyncio.to_thread(embedded.start_valkey, tmp_path, port=own_port)
        try:
            await heard.until_joined(b"kept", b"new")
            with redis.Redis(port=own_port) as client:
                assert sorted(client.pubsub_channels()) == [b"kept", b"new"]
                client.publish(b"kept", b"after")
            await heard.until(lambda h: h.messages == [(b"kept", b"after")])
        finally:
            again.stop()


async def test_a_silent_valkey_is_given_up_when_told_and_found_again(
    own_valkey: Server, own_port: int
) -> None:
    async with listening(tcp(own_port), b"c", socket_timeout=0.2) as heard:
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        heard.subscriber.reconnect()
        await heard.until(lambda h: not h.subscriber.is_joined(b"c"))
        os.kill(own_valkey.process.pid, signal.SIGCONT)
        await heard.until_joined(b"c")

    assert heard.joined == [(b"c", False), (b"c", True)]


NONSENSE = {
    "no reply at all": b"what is this?\r\n",
    "an error": b"-NOPERM this user has no permissions\r\n",
    "a number": b":1\r\n",
    "a message without a body": b"*2\r\n$7\r\nmessage\r\n$1\r\nc\r\n",
    "an answer that nobody asked for": b"*3\r\n$9\r\nsubscribe\r\n$4\r\nelse\r\n:1\r\n",
    "an empty list": b"*0\r\n",
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
async def test_a_reply_that_makes_no_sense_ends_the_connection_and_a_new_one_serves(
    valkey: "redis.Redis", port: int, nonsense: bytes
) -> None:
    async with relay(port) as between, listening(tcp(between.port), b"c") as heard:
        between.say(nonsense)
        await _is_replaced(between, heard)
        valkey.publish(b"c", b"after")
        await heard.until(lambda h: h.messages == [(b"c", b"after")])


async def test_a_reply_without_end_is_not_kept(
    port: int, valkey: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 100_000)
    async with relay(port) as between, listening(tcp(between.port), b"c") as heard:
        valkey.publish(b"c", b"x" * 90_000)
        await heard.until(lambda h: len(h.messages) == 1)
        between.say(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$999999999\r\n" + b"x" * 200_000)
        await _is_replaced(between, heard)


async def _is_replaced(between: Relay, heard: Heard) -> None:
    await heard.until(lambda h: (b"c", True) in h.joined)
    assert between.connections == 2


async def test_others_have_their_turn_however_much_comes(
    valkey: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY", 0.0)
    loop = asyncio.get_running_loop()
    seen_each_turn = [0]
    async with listening(settings.VALKEY_URL, b"c") as heard:

        def turn() -> None:
            seen_each_turn.append(len(heard.messages))
            if len(heard.messages) < 500:
                loop.call_soon(turn)

        turn()
        bodies = [b"%d" % number for number in range(500)]
        with valkey.pipeline(transaction=False) as pipe:
            for body in bodies:
                pipe.publish(b"c", body)
            pipe.execute()
        await heard.until(lambda h: len(h.messages) == 500)

    assert [body for _, body in heard.messages] == bodies
    most = max(b - a for a, b in pairwise(seen_each_turn))
    assert most <= 2


async def test_user_password_and_database_of_the_address_are_used(
    own_valkey: Server, own_port: int
) -> None:
    with redis.Redis(port=own_port) as client:
        client.acl_setuser(
            "ears", enabled=True, passwords=["+s3cret"], categories=["+@all"], channels=["*"]
        )
        url = f"redis://ears:s3cret@127.0.0.1:{own_port}/3"
        async with listening(url, b"c") as heard:
            [mine] = client.client_list(_type="pubsub")
            client.publish(b"c", b"heard")
            await heard.until(lambda h: h.messages)

    assert (mine["user"], mine["db"], mine["resp"]) == ("ears", "3", "2")


async def test_a_password_that_is_refused_is_tried_again_until_it_is_right(
    own_valkey: Server, own_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(f"redis://ears:s3cret@127.0.0.1:{own_port}/0") as heard:
        heard.subscriber.join(b"c")
        await heard.until(lambda _: "not connected to Valkey's messages" in caplog.text)
        with redis.Redis(port=own_port) as client:
            client.acl_setuser(
                "ears", enabled=True, passwords=["+s3cret"], categories=["+@all"], channels=["*"]
            )
        await heard.until_joined(b"c")

    assert "s3cret" not in caplog.text


async def test_it_speaks_tls_and_believes_no_stranger(
    valkey: "redis.Redis", port: int, tmp_path: Path
) -> None:
    authority, server_side = for_localhost(tmp_path)
    async with relay(port, tls=server_side) as between:
        url = f"rediss://localhost:{between.port}/0"
        async with listening(url, b"c", ssl_ca_certs=str(authority)) as heard:
            valkey.publish(b"c", b"x" * 100_000)
            await heard.until(lambda h: h.messages == [(b"c", b"x" * 100_000)])

        stranger = Subscriber(
            {"address": url}, on_message=lambda *_: None, on_joined=lambda *_, **__: None
        )
        with pytest.raises((redis.RedisError, ssl.SSLError)):
            await stranger._connect()
