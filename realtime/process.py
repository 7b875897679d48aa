"""This process's hub: one for each web process, however many consumers there are."""

from typing import Any

from realtime.hub import Hub

_hub: Hub | None = None


def running() -> Hub:
    """This process's hub; begun here if no lifespan has (Daphne, for one, has none)."""
    global _hub  # noqa: PLW0603 — one hub in a process is the point
    if _hub is None:
        _hub = Hub()
        _hub.start()
    return _hub


async def stop() -> None:
    global _hub
    hub, _hub = _hub, None
    if hub is not None:
        await hub.stop()


def health() -> dict[str, Any] | None:
    """The hub's health, or None where this process has no hub."""
    return None if _hub is None else _hub.health()
