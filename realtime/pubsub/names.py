"""The names of topics and of their channel-layer groups, and the hints that travel through them.

A topic is `<kind>:<key>`; each kind has a reader of its own (`journal_reader`). Groups may only hold
letters, digits, `-`, `_` and `.`, so a topic's group replaces the colon.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

ORDER = "order"
HINT = "ordercast.hint"
ECHO = "ordercast.echo"

_REF = re.compile(r"[0-9a-f]{32}")


class Hint(NamedTuple):
    """A committed event of an order, on its way to the pages. May be lost, doubled or late.

    JSON and msgpack make a plain list of it. Processes before and after a deploy read each other's: a field may be
    added at the end, and nothing else may change.
    """

    order: str
    epoch: str
    version: int
    frame: str  # encoded

    @classmethod
    def received(cls, fields: Sequence[Any]) -> Self:
        """From the list that it travelled as; fields that this code does not know yet are left out."""
        return cls._make(fields[: len(cls._fields)])

    @property
    def event_id(self) -> str:
        """As log lines name the event."""
        return f"{self.order}:{self.version}"


def is_ref(text: str) -> bool:
    """Whether an order can be called that; only such names are put to the database, which takes no NUL."""
    return _REF.fullmatch(text) is not None


def order_topic(ref: str) -> str:
    return f"{ORDER}:{ref}"


def parse_topic(topic: str) -> tuple[str, str]:
    """`(kind, key)`. Raises `ValueError` for what is no topic."""
    kind, colon, key = topic.partition(":")
    if not (kind and colon and key):
        raise ValueError(f"{topic!r} is no topic; one looks like 'order:<ref>'")
    return kind, key


def group_name(topic: str) -> str:
    return topic.replace(":", ".", 1)


def topic_of(group: str) -> str:
    """The topic whose group this is."""
    return group.replace(".", ":", 1)


def hint_message(topic: str, hints: Iterable[Hint]) -> dict[str, Any]:
    """What the channel layer carries: hints of one topic, in any order. `hints_in` reads it."""
    events = [[hint.epoch, hint.version, hint.frame] for hint in hints]
    return {"type": HINT, "topic": topic, "events": events}


def hints_in(message: dict[str, Any]) -> tuple[str, list[Hint]]:
    """The topic, and its hints. Raises `LookupError`, `TypeError` or `ValueError` where it is malformed."""
    topic: str = message["topic"]
    _, key = parse_topic(topic)
    return topic, [Hint(key, *each[:3]) for each in message["events"]]


def echo_message(number: int) -> dict[str, Any]:
    """What a process sends to itself to see whether the channel layer still carries anything."""
    return {"type": ECHO, "number": number}
