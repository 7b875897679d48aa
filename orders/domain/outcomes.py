"""What became of something that a provider said."""

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What became of something a provider told us."""

    APPLIED = "applied"
    NOTHING_NEW = "nothing_new"
    ASKING = "asking"  # out of step: not applied, the provider is asked at once
    CONFLICT = "conflict"  # the provider was asked and it still makes no sense: flagged
    MISMATCH = "mismatch"  # another amount, currency or reference: flagged
    UNMATCHED = "unmatched"  # no such payment here, yet
    FOREIGN = "foreign"  # no such payment here, and none that must be: another program's in the same account


class Result(NamedTuple):
    outcome: Outcome
    detail: str
