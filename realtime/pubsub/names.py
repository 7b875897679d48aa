"""The names of topics and of their channel-layer groups, and the hints that travel through them.

A topic is `<kind>:<key>`; each kind has a reader of its own (`journal_reader`). Groups may only hold
letters, digits, `-`, `_` and `.`, so a topic's group replaces the colon.
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any, NamedTuple, Self

from django.conf import settings

ORDER = "order"
HINT = "ordercast.hint"
ECHO = "ordercast.echo"

_REF = re.compile(r"[0-9a-f]{32}")


class Hint(NamedTuple):
    """A committed event of an order, on its way to the pages. May be lost, doubled or late.

    Whoever can write to Valkey can write hints. So whoever commits signs (`signed`), and what is not `is_genuine` shows
    a page nothing: it only makes the journal be read.

    JSON and msgpack make a plain list of it. Processes before and after a deploy read each other's: a field may be
    added at the end, and nothing else may change.
    """

    order: str
    epoch: str
    version: int
    frame: str  # encoded
    signature: str = ""

    @classmethod
    def received(cls, fields: Sequence[Any]) -> Self:
        """From the list that it travelled as; fields that this code does not know yet are left out."""
        return cls(*fields[: len(cls._fields)])

    def signed(self) -> Self:
        return self._replace(signature=self._signature())

    @property
    def is_genuine(self) -> bool:
        """Whether a process that knows the installation's secret key has made it."""
        signature = self.signature if isinstance(self.signature, str) else ""
        return hmac.compare_digest(signature.encode(errors="replace"), self._signature().encode())

    def _signature(self) -> str:
        said = f"{self.order}\n{self.epoch}\n{self.version}\n{self.frame}".encode()
        return blake2b(said, key=_key(settings.SECRET_KEY), digest_size=16).hexdigest()

    @property
    def event_id(self) -> str:
        """As log lines name the event."""
        return f"{self.order}:{self.version}"


@lru_cache(maxsize=2)
def _key(secret: str) -> bytes:
    """Of its own: what is learnt about one use of the secret says nothing about the others."""
    return sha256(f"ordercast hint {secret}".encode()).digest()


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
    events = [list(hint[1:]) for hint in hints]
    return {"type": HINT, "topic": topic, "events": events}


def hints_in(message: dict[str, Any]) -> tuple[str, list[Hint]]:
    """The topic, and its hints. Raises `LookupError`, `TypeError` or `ValueError` where it is malformed."""
    topic: str = message["topic"]
    _, key = parse_topic(topic)
    return topic, [Hint.received([key, *each]) for each in message["events"]]


def echo_message(number: int) -> dict[str, Any]:
    """What a process sends to itself to see whether the channel layer still carries anything."""
    return {"type": ECHO, "number": number}
