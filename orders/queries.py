"""Every read of orders and their journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orders.events import EventRecord

TAIL_LIMIT = 300  # events; a reader further behind gets a snapshot instead


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One order's stream as one query saw it: its head, the state there, and the tail that was asked for.

    `events` holds version after + 1 … version without a hole, or is empty where more than `TAIL_LIMIT` are missing
    (`is_cut`) and where `after` is not below `version`.
    """

    ref: str
    version: int
    state: str
    facts: dict[str, Any]  # total, currency, captured, refunded, disputed, needs_review
    events: tuple[EventRecord, ...]
    is_cut: bool


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Many streams read in one query, and the journal's epoch at that moment. Unknown refs are absent."""

    epoch: str
    streams: dict[str, Stream]


def read_streams(after: Mapping[str, int]) -> Reading:
    """Heads and tails of the streams `{ref: version that the reader holds}`, in one query."""
    raise NotImplementedError


def heads(refs: Sequence[str]) -> tuple[str, dict[str, int]]:
    """The journal's epoch and the head version of each known ref, in one query: the position check."""
    raise NotImplementedError
