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


class Found(StrEnum):
    """What a check at a provider found: what became of its answer, or why there was none."""

    APPLIED = "applied"
    NOTHING_NEW = "nothing_new"
    ASKING = "asking"
    CONFLICT = "conflict"
    MISMATCH = "mismatch"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    AMBIGUOUS = "ambiguous"
    MALFORMED = "malformed"
    ERROR = "error"  # a defect, or a provider that is not configured
    LEFT = "left"  # not asked: its provider is not asked at present


# The provider has said how the payment stands, whatever came of that.
ANSWERED = frozenset[str](
    {Found.APPLIED, Found.NOTHING_NEW, Found.ASKING, Found.CONFLICT, Found.MISMATCH}
)
# Our row and the provider agree from now on; "not found" is its word too.
IN_AGREEMENT = frozenset[str]({Found.APPLIED, Found.NOTHING_NEW, Found.NOT_FOUND})


class Result(NamedTuple):
    outcome: Outcome
    detail: str
