"""When a payment is looked at: the profiles, their jitter, and what a provider may ask for."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.schedule.profiles import (
    DAY,
    HOUR,
    MINUTE,
    PROFILES,
    SECOND,
    Profile,
    next_check,
    postponed,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
rng = Random(1)

# From the design, in its own words.
DELAYS = {
    "waiting": [10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE, 10 * MINUTE,
                20 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 6 * HOUR],
    "unknown": [10 * SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR],
    "offline": [HOUR, 6 * HOUR],
    "authorised": [],
    "refund": [HOUR, 6 * HOUR],
    "failed": [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR],
}  # fmt: skip
DAILY = {"unknown": 5, "offline": 14, "refund": 30, "failed": 6}


@pytest.mark.parametrize("profile", Profile)
def test_the_profiles_are_those_of_the_design(profile: Profile) -> None:
    early = DELAYS[profile]
    delays = PROFILES[profile]

    assert list(delays[: len(early)]) == early
    assert set(delays[len(early) :]) == {DAY}
    assert len(delays) - len(early) == DAILY.get(profile, len(delays) - len(early))


def test_a_waiting_customer_is_followed_for_about_a_week() -> None:
    assert 6 * DAY < sum(PROFILES[Profile.WAITING], timedelta()) < 7 * DAY


@given(st.sampled_from(Profile), st.integers(0, 40), st.floats(0.01, 10), st.randoms())
def test_each_delay_is_drawn_from_a_fifth_around_its_length(
    profile: Profile, step: int, scale: float, random: Random
) -> None:
    due = next_check(profile, step, NOW, scale=scale, rng=random)

    if step >= len(PROFILES[profile]):
        assert due is None
    else:
        assert due is not None
        wait = PROFILES[profile][step] * scale
        assert wait * 0.799 <= due - NOW <= wait * 1.201


def test_checks_do_not_march_in_step() -> None:
    times = {next_check(Profile.WAITING, 0, NOW, scale=1, rng=rng) for _ in range(50)}

    assert len(times) == 50


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        (None, 30 * SECOND),
        (7.0, 7 * SECOND),
        (0.0, SECOND),  # "at once" would be a loop
        (1e18, DAY),  # "never" would be silence
    ],
)
def test_a_provider_says_when_to_come_back_within_reason(
    said: float | None, wait: timedelta
) -> None:
    due = postponed(NOW, said, scale=1, rng=rng)

    assert wait <= due - NOW <= wait * 1.201
