"""Which secrets are none: what everybody can read in this project, and what anybody would guess."""

from collections.abc import Iterable
from itertools import pairwise

LEAST_DISTINCT = 8  # different characters in a secret; 32 random hexadecimal digits have 9 or more in 9,999 of 10,000
LONGEST_PERIOD = 8  # characters that are only repeated


def weakness(secret: str, public: Iterable[str]) -> str:
    """What is wrong with it, to stand after the variable's name; "" for one that nobody can guess by its looks.

    `public` are secrets that can be read somewhere: the demo's, and the examples of the documentation.
    """
    bare = secret.removeprefix("whsec_")
    if bare in {each.removeprefix("whsec_") for each in public}:
        return "must be your own, not the demo's or the documentation's, which everybody can read"
    if len(set(bare)) < LEAST_DISTINCT or _is_repeated(bare) or _is_a_row(bare):
        return "must be random, not a few characters repeated or in a row"
    return ""


def _is_repeated(secret: str) -> bool:
    return any(
        secret == (secret[:period] * len(secret))[: len(secret)]
        for period in range(1, min(LONGEST_PERIOD, len(secret) // 2) + 1)
    )


def _is_a_row(secret: str) -> bool:
    """1234567890…, abcdef…, or either backwards."""
    steps = {ord(after) - ord(before) for before, after in pairwise(secret)}
    return bool(steps) and (steps <= {1, -9} or steps <= {-1, 9})
