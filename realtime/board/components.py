"""How the parts of the system are: those of this room, and what other rooms have registered."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from orders import clock
from realtime.hub import local


@dataclass(frozen=True)
class Part:
    """`kind` is valkey, pages, clock, tick or provider. `is_well` is None where it cannot be known now."""

    kind: str
    is_well: bool | None
    name: str = ""
    count: int | None = None
    at: datetime | None = None


_sources: dict[str, Callable[[], list[Part]]] = {}


def register(source: Callable[[], list[Part]]) -> None:
    """Ask `source` too, whenever the board is looked at. It may wait for Valkey's timeout, and never raises."""
    _sources[f"{source.__module__}.{source.__qualname__}"] = source


def all_parts() -> list[Part]:
    return [*_own(), *(part for source in _sources.values() for part in source())]


def _own() -> list[Part]:
    hub = local.health()
    if hub is None:
        return []
    return [
        Part("valkey", hub["channel_layer"]["is_up"]),
        Part("pages", True, count=hub["connections"]),
        _clock(),
    ]


def _clock() -> Part:
    if not clock.is_skewed():
        return Part("clock", True, name="web")
    return Part("clock", False, name=f"web {socket.gethostname()}: {clock.skew():+.1f} s")
