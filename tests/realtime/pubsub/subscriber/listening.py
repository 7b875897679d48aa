"""A subscriber that is running, and what it hears."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from realtime.pubsub.subscriber import Subscriber
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
