"""The judge of chaos: a run is worth nothing if nothing could have failed it."""

from typing import Any

import pytest

from tests.chaos import plan
from tests.chaos.pages import Track
from tests.chaos.verdict import Fact, Verdict, judge

ORDER = "a" * 32


def facts(*versions: int) -> list[Fact]:
    """Version n was committed at second n."""
    return [Fact(version, f"{ORDER}:{version}", float(version)) for version in versions]


def event(version: int) -> dict[str, Any]:
    return {"epoch": "e", "version": version, "id": f"{ORDER}:{version}"}


def synced(version: int, *events: int) -> dict[str, Any]:
    return {"epoch": "e", "version": version, "events": [event(each) for each in events]}


def a_track(*versions: int, late: float = 0.0) -> Track:
    """A page that began at version 1 and saw these, each `late` seconds after its commit."""
    track = Track(ORDER)
    track.synced(synced(1), 1.0)
    for version in versions:
        track.take(event(version), version + late)
    return track


def verdict_on(track: Track, *outages: tuple[float, float]) -> Verdict:
    track.broke(100.0)
    return judge({1: [track]}, {ORDER: facts(1, 2, 3, 4)}, outages)


def test_a_page_that_saw_everything_once_and_in_turn_is_clean() -> None:
    assert verdict_on(a_track(2, 3, 4)) == Verdict(late=[0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("seen", "lost", "doubled", "out_of_order"),
    [
        ((2, 4), 1, 0, 0),
        ((2, 3), 1, 0, 0),
        ((), 3, 0, 0),
        ((2, 3, 3, 4), 0, 1, 0),
        ((3, 2, 4), 0, 0, 1),
        ((2, 3, 4, 2), 0, 1, 0),
    ],
)
def test_what_is_missing_doubled_or_out_of_turn_is_counted(
    seen: tuple[int, ...], lost: int, doubled: int, out_of_order: int
) -> None:
    found = verdict_on(a_track(*seen))

    assert (found.lost, found.doubled, found.out_of_order) == (lost, doubled, out_of_order)


def test_a_snapshot_in_the_middle_is_no_excuse_for_what_it_skipped() -> None:
    track = a_track(2)
    track.synced(synced(4), 5.0)

    assert verdict_on(track).lost == 2


def test_a_tail_counts_like_events() -> None:
    track = a_track(2)
    track.synced(synced(4, 3, 4), 5.0)

    assert verdict_on(track).is_clean


def test_another_event_under_the_same_version_is_a_loss() -> None:
    track = a_track(2, 3)
    track.take({**event(4), "id": "another"}, 4.0)

    assert verdict_on(track).lost == 1


def test_a_page_that_left_owes_nothing_of_what_came_later() -> None:
    track = a_track(2)
    track.is_watched = False

    assert verdict_on(track).is_clean


def test_staleness_is_counted_from_the_commit_and_not_while_postgresql_was_away() -> None:
    assert verdict_on(a_track(2, 3, 4, late=0.5)).worst_staleness_ms == 500
    outages = (2.5, 3.5), (4.5, 5.0)
    assert verdict_on(a_track(2, 3, 4, late=2.0), *outages).worst_staleness_ms == 1_500


def test_what_never_came_is_stale_until_the_line_broke() -> None:
    track = a_track(2, 3)
    track.broke(14.0)
    track.synced(synced(4, 4), 60.0)

    assert verdict_on(track).worst_staleness_ms == 10_000


def test_the_same_seed_makes_the_same_plan_and_kills_every_part() -> None:
    planned = plan.kills(5, 10)

    assert planned == plan.kills(5, 10) != plan.kills(6, 10)
    assert {kill.part for kill in planned} == set(plan.PARTS)
    assert all(kill.at + kill.down < 10 for kill in planned)
    one, other = plan.Life(5, 1), plan.Life(5, 1)
    assert [one.next() for _ in range(9)] == [other.next() for _ in range(9)]
