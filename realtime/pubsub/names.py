"""The names of topics and of their channel-layer groups, and the hints that travel through them.

A topic is `<kind>:<key>`; each kind has a reader of its own (`journal_reader`). Groups may only hold
letters, digits, `-`, `_` and `.`, so a topic's group replaces the colon.
"""

import re
from collections.abc import Iterable
from typing import Any

ORDER = "order"
HINT = "ordercast.hint"
ECHO = "ordercast.echo"

_REF = re.compile(r"[0-9a-f]{32}")

Hint = tuple[str, int, str]  # epoch, version, the encoded frame


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
    """What the channel layer carries: events of one topic, in any order. May be lost, doubled or late."""
    return {"type": HINT, "topic": topic, "events": [list(hint) for hint in hints]}


def echo_message(number: int) -> dict[str, Any]:
    """What a process sends to itself to see whether the channel layer still carries anything."""
    return {"type": ECHO, "number": number}
