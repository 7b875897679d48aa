"""When to look at a payment again: profiles of delays, pure and without a clock of their own.

The early steps follow what Hyperswitch and WeChat Pay do, the tails Kill Bill's; three days covers Stripe's redelivery.
At a profile's end the answer is None: the caller flags the order for review, and never guesses a failure.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from random import Random

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

JITTER = 0.2  # each delay is drawn from ±20 % of its length, so that checks do not march in step
LEASE = timedelta(seconds=60)  # how long a claimed payment is left to the one who claimed it
HOLD_MARKS = (0.5, 0.9)  # of a hold: when what is authorised is looked at besides every day
POSTPONE = 30 * SECOND  # after an outage or a 429 that named no time


class Profile(StrEnum):
    WAITING = "waiting"  # a customer is waiting
    UNKNOWN = "unknown"  # a call was sent and its answer never came
    OFFLINE = "offline"  # bank debit and the like
    AUTHORISED = "authorised"
    REFUND = "refund"  # a refund is on its way, or a dispute is open
    FAILED = "failed"  # may be tried again at the provider's own page, so it may yet succeed


PROFILES: dict[Profile, tuple[timedelta, ...]] = {
    Profile.WAITING: (
        10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE, 10 * MINUTE,
        20 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 6 * HOUR, *[DAY] * 6,
    ),
    Profile.UNKNOWN: (
        10 * SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, *[DAY] * 5,
    ),
    Profile.OFFLINE: (HOUR, 6 * HOUR, *[DAY] * 14),
    Profile.AUTHORISED: (DAY,) * 30,
    Profile.REFUND: (HOUR, 6 * HOUR, *[DAY] * 30),
    Profile.FAILED: (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, *[DAY] * 6),
}  # fmt: skip
# Ends without a flag: the provider's last word stands, it was asked for a week, and its list is still compared.
QUIET = frozenset({Profile.FAILED})


def next_check(
    profile: Profile,
    step: int,
    now: datetime,
    *,
    scale: float,
    rng: Random,
    hold: tuple[datetime, datetime] | None = None,
) -> datetime | None:
    """When step number `step` (from 0) of the profile is due after `now`; None when the profile has ended.

    `hold`: since when money is held, and until when; its marks come in between.
    """
    delays = PROFILES[profile]
    if step >= len(delays):
        return None
    due = now + delays[step] * scale * rng.uniform(1 - JITTER, 1 + JITTER)
    if hold is None:
        return due
    began, ends = hold
    marks = (began + (ends - began) * share for share in HOLD_MARKS)
    return min([due, *(mark for mark in marks if mark > now)])


def postponed(now: datetime, retry_after: float | None, *, scale: float, rng: Random) -> datetime:
    """When to ask again after an outage or a 429: what the provider said, or `POSTPONE`, never sooner.

    "At once" would be a loop and "in a year" silence, so what it says is taken for a second to a day.
    """
    said = None if retry_after is None else min(max(retry_after, 1.0), DAY.total_seconds())
    wait = POSTPONE * scale if said is None else timedelta(seconds=said)
    return now + wait * rng.uniform(1, 1 + JITTER)
