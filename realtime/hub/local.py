"""This process's hub: one for each web process, however many consumers there are."""

import asyncio
from contextlib import suppress
from typing import Any

from realtime.hub.hub import Hub
from realtime.pubsub import names

_hub: Hub | None = None
_loop: asyncio.AbstractEventLoop | None = None  # the hub's


def running() -> Hub:
    """This process's hub; begun here if no lifespan has (Daphne, for one, has none)."""
    global _hub, _loop
    if _hub is None:
        _hub, _loop = Hub(), asyncio.get_running_loop()
        _hub.start()
    return _hub


def deliver(hint: names.Hint) -> None:
    """To the pages of this process, from any thread; those of other processes get it through the channel layer.

    Does nothing in a process that has no hub.
    """
    hub, loop, topic = _hub, _loop, names.order_topic(hint.order)
    if hub is None or loop is None or not hub.timing.direct or topic not in hub.topics:
        return
    # A loop that has ended has no pages left.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(hub.hear, topic, [hint])


async def stop() -> None:
    global _hub
    hub, _hub = _hub, None
    if hub is not None:
        await hub.stop()


def health() -> dict[str, Any] | None:
    """The hub's health, or None where this process has no hub."""
    return None if _hub is None else _hub.health()


def is_draining() -> bool:
    """Whether this process's pages are being sent away. From any thread."""
    return _hub is not None and _hub.is_draining
