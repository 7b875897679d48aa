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


NOT_FOUND = "not_found"  # what a check found where the provider does not know the payment
# What a check found that is the provider's word on the payment, whatever came of it.
ANSWERED = frozenset(
    {
        Outcome.APPLIED,
        Outcome.NOTHING_NEW,
        Outcome.ASKING,
        Outcome.CONFLICT,
        Outcome.MISMATCH,
    }
)
# What a check found after which we hold what the provider has. That it has nothing is its word too.
IN_AGREEMENT = frozenset({Outcome.APPLIED, Outcome.NOTHING_NEW, NOT_FOUND})


class Result(NamedTuple):
    outcome: Outcome
    detail: str
