"""How events are stored and read back: a registry of explicit names, schema versions and upcasters.

What is stored is `type`, `schema` and `data`; never a class path, so a class can be renamed or moved. A change of
an event's fields raises its `schema` and adds an upcaster from the one before; rows are never rewritten.
An event holds absolute values after the fact (the order's `captured` is the total so far), so that seeing one
twice is harmless. Amounts are integers in minor units.
"""

from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from orders.domain.errors import UnknownEvent


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events."""

    type: ClassVar[str]
    schema: ClassVar[int] = 1
    public: ClassVar[tuple[str, ...]] = ()  # the fields that the order's own customer may see


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """One row of the journal, as readers get it.

    `order` is the order's ref, `version` its place within the order's stream (1, 2, 3 …, no holes), `state` and
    `facts` are the order after the event (`facts`: total, currency, captured, refunded, disputed, needs_review),
    `data` the event's own fields at the present schema.
    """

    order: str
    epoch: str
    version: int
    type: str
    state: str
    data: dict[str, Any]
    facts: dict[str, Any]
    source: str
    actor: str
    at: datetime

    @property
    def id(self) -> str:
        """The event's name in the world: one id for logs, frames and pages."""
        return f"{self.order}:{self.version}"

    @property
    def public_data(self) -> dict[str, Any]:
        """What the order's customer may see of it: absolute facts, and the event's public fields."""
        public = _registry[self.type].public
        return {**self.facts, **{name: self.data[name] for name in public if name in self.data}}


E = TypeVar("E", bound=type[Event])
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_registry: dict[str, type[Event]] = {}
_upcasters: dict[tuple[str, int], Upcaster] = {}


def register(cls: E) -> E:
    """Class decorator: make the event known by its `type`. Two classes of one name are refused."""
    if cls.type in _registry:
        raise ValueError(f"two event classes are called {cls.type!r}")
    _registry[cls.type] = cls
    return cls


def upcaster(event_type: str, from_schema: int) -> Callable[[Upcaster], Upcaster]:
    """Register a function from the data of `from_schema` to the data of `from_schema + 1`."""

    def add(function: Upcaster) -> Upcaster:
        if (event_type, from_schema) in _upcasters:
            raise ValueError(f"two upcasters lead from {event_type!r} schema {from_schema}")
        _upcasters[event_type, from_schema] = function
        return function

    return add


def registered() -> dict[str, type[Event]]:
    """All known event classes by stored name."""
    return dict(_registry)


def encode(event: Event) -> dict[str, Any]:
    """The event's JSON-ready `data`."""
    return asdict(event)


def upcast(event_type: str, schema: int, data: dict[str, Any]) -> dict[str, Any]:
    """Bring stored data to the schema that this code speaks.

    Raises `UnknownEvent` for a type or a schema that has no way to the present.
    """
    cls = _registry.get(event_type)
    if cls is None:
        raise UnknownEvent(f"unknown event type {event_type!r}; known: {', '.join(_registry)}")
    if schema > cls.schema:
        raise UnknownEvent(
            f"{event_type!r} has schema {schema}, newer than this code's {cls.schema}: deploy first"
        )
    for step in range(schema, cls.schema):
        lift = _upcasters.get((event_type, step))
        if lift is None:
            raise UnknownEvent(f"no upcaster leads from {event_type!r} schema {step} to {step + 1}")
        data = lift(data)
    return data


def decode(event_type: str, schema: int, data: dict[str, Any]) -> Event:
    """The event value of a stored row, upcast to the present schema. Raises `UnknownEvent`."""
    data = upcast(event_type, schema, data)
    cls = _registry[event_type]
    known = {f.name for f in fields(cls)}
    needed = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
    if not needed <= data.keys() <= known:
        raise UnknownEvent(
            f"{event_type!r} schema {schema} has fields {sorted(data)}, this code knows {sorted(known)}"
        )
    return cls(**data)
