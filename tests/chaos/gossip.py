"""Carries the worker's hints to the web processes, as badly as hints may be carried: some never, some twice, some late,
and so in no order.

The worker publishes under a prefix of its own; what is heard there is published again under the one that the web
processes listen to. Messages are passed on as they are.
"""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

PREFIX = "chaos"
LOST, DOUBLED, LATE = 0.1, 0.15, 0.3  # parts of all
LATEST = 1.5  # seconds


class Gossip:
    def __init__(self, url: str, prefix: str, seed: int) -> None:
        self._url, self._prefix = url, prefix
        self._rng = random.Random(f"gossip:{seed}")
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_honest = False
        self.heard = 0

    async def run(self) -> None:
        """Until cancelled; Valkey may come and go."""
        while True:
            with suppress(RedisError, OSError):
                await self._listen()
            await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        async with redis.asyncio.from_url(self._url) as client, client.pubsub() as ear:
            await ear.psubscribe(f"{PREFIX}__group__*")
            async for message in ear.listen():
                if message["type"] == "pmessage":
                    self.heard += 1
                    group = message["channel"].decode().removeprefix(PREFIX)
                    self._spread(client, self._prefix + group, message["data"])

    def _spread(self, client: "redis.asyncio.Redis", channel: str, data: bytes) -> None:
        chance = 1.0 if self.is_honest else self._rng.random()
        if chance < LOST:
            return
        copies = 2 if chance < LOST + DOUBLED else 1
        for _ in range(copies):
            is_late = not self.is_honest and self._rng.random() < LATE
            pause = self._rng.uniform(0, LATEST) if is_late else 0.0
            self._start(self._tell(client, channel, data, pause))

    def _start(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(
        self, client: "redis.asyncio.Redis", channel: str, data: bytes, pause: float
    ) -> None:
        await asyncio.sleep(pause)
        with suppress(RedisError, OSError):
            await client.publish(channel, data)
