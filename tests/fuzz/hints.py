"""Hints that nobody of ours has sent, on every channel that a process listens to: whoever can write to Valkey can.

None may stop or confuse it: what a page is shown, in the end, is what the journal holds.
"""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import msgpack  # type: ignore[import-untyped]
import redis
from websockets.asyncio.client import connect

from tests.fuzz.tally import Tally
from tests.fuzz.target import TOKEN, Target

TRIES = 15  # a second apart, until a page is right again: a position check comes every three


def run(target: Target, tally: Tally, count: int, seed: int) -> None:
    """About `count` messages, while a page watches."""
    asyncio.run(_run(target, tally, count, random.Random(seed)))


async def _run(target: Target, tally: Tally, count: int, rng: random.Random) -> None:
    ref = target.refs[2]
    async with _page(target) as watching:
        await watching.send(json.dumps({"type": "subscribe", "subscribe": [{"order": ref}]}))
        before = await _synced(watching)
        await asyncio.to_thread(_publish, target, count, before, rng)
        tally.frames += count
    held = target.client.get(f"/api/orders/{ref}").raise_for_status().json()
    for _ in range(TRIES):
        shown = await _looked_at(target, ref)
        if shown == (held["version"], held["state"]):
            return
        await asyncio.sleep(1)
    tally.blame("crashes", f"a forged hint is shown for good: {shown} for {held['version']}")


def _page(target: Target) -> connect:
    return connect(
        f"{target.url.replace('http', 'ws', 1)}/ws/orders/",
        additional_headers={"Authorization": f"Bearer {TOKEN}"},
        proxy=None,
        max_size=None,
    )


async def _synced(socket: Any) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 20))
        if frame["type"] == "synced":
            return frame


async def _looked_at(target: Target, ref: str) -> tuple[int, str]:
    """What a page is shown that comes anew."""
    async with _page(target) as socket:
        await socket.send(json.dumps({"type": "subscribe", "subscribe": [{"order": ref}]}))
        frame = await _synced(socket)
        return frame["version"], str(frame.get("state"))


def _publish(target: Target, count: int, synced: dict[str, Any], rng: random.Random) -> None:
    with redis.Redis.from_url(target.valkey_url) as valkey:
        channels = [each for each in valkey.pubsub_channels("*") if b"kombu" not in each]
        forged = _forged(synced, rng)
        for _ in range(count):
            valkey.publish(rng.choice(channels), next(forged))


def _forged(synced: dict[str, Any], rng: random.Random) -> Iterator[bytes]:
    order, epoch, version = synced["order"], synced["epoch"], synced["version"]
    frame = json.dumps({"type": "event", "order": order, "epoch": epoch, "version": version + 1})
    values: list[Any] = [
        None, 0, -1, 2**63, 1e308, "", "x" * 100_000, b"\xff", [], {}, [[]] * 50, {"type": 1},
        order, epoch, f"order:{order}", frame,
    ]  # fmt: skip
    while True:
        yield rng.randbytes(rng.choice((0, 1, 20, 5_000)))
        yield msgpack.packb(rng.choice(values))
        yield msgpack.packb({"type": rng.choice(values), "topic": rng.choice(values)})
        topic = rng.choice((f"order:{order}", "order:", "x", *values))
        event = [rng.choice(values) for _ in range(rng.choice((0, 1, 3, 4, 5)))]
        for kind in ("hint", "hints", "events", "echo"):
            yield msgpack.packb({"type": kind, "topic": topic, "events": [event], "hints": [event]})
            yield msgpack.packb({"type": kind, "topic": topic, kind: rng.choice(values)})
