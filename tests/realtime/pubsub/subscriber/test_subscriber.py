"""The subscriber on a real Valkey: what it hears, and that it comes back from whatever befalls its connection."""

import asyncio
import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from django.conf import settings

from backend.up import embedded
from backend.up.child import Server
from realtime.pubsub import subscriber as module
from tests.realtime.pubsub.subscriber.listening import PATIENT, Heard, listening
from tests.realtime.pubsub.subscriber.relay import Relay, relay
from tests.waiting import eventually_async


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


async def test_a_channel_that_is_left_before_it_was_asked_for_is_never_joined(
    valkey: "redis.Redis",
) -> None:
    async with listening(settings.VALKEY_URL) as heard:
        heard.subscriber.join(b"passing")
        heard.subscriber.leave(b"passing")
        heard.subscriber.join(b"kept")
        await heard.until_joined(b"kept")

        assert valkey.pubsub_channels("passing") == []


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
