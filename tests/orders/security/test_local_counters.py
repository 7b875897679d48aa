"""Knocks that are counted without waiting: each process at once, and all of them together a moment later."""

import threading
from collections import Counter

import pytest
from pytest_django import Settings

from orders.security import rate_limits
from orders.security.local_counters import Tally
from orders.security.rate_limits import LimitScope, TooMany
from tests.waiting import eventually

HOUR = 3_600


class Shared:
    """The count of all processes, and whether it can be reached."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.is_away = False
        self.refused = 0

    def add(self, name: str, _seconds: int, amount: int) -> int | None:
        if self.is_away:
            self.refused += 1
            return None
        self.counts[name] += amount
        return self.counts[name]


@pytest.fixture
def shared() -> Shared:
    return Shared()


def let_in(tally: Tally, knocks: int, name: str = "house/192.0.2.1") -> int:
    return sum(tally.count(name, 10, HOUR) == 0 for _ in range(knocks))


def test_a_process_lets_in_as_many_as_the_limit_says(shared: Shared) -> None:
    tally = Tally(shared.add)

    assert let_in(tally, 12) == 10
    assert 0 < tally.count("house/192.0.2.1", 10, HOUR) <= HOUR
    assert let_in(tally, 1, "house/192.0.2.2") == 1


def test_what_others_let_in_counts_a_moment_later(shared: Shared) -> None:
    one, other = Tally(shared.add), Tally(shared.add)
    let_in(one, 7)
    eventually(lambda: sum(shared.counts.values()) == 7)

    let_in(other, 1)
    eventually(lambda: sum(shared.counts.values()) == 8)

    eventually(lambda: let_in(other, 5) == 2)


def test_a_client_that_hardly_knocks_is_told_of_to_nobody(shared: Shared) -> None:
    tally = Tally(shared.add)

    for _ in range(9):
        tally.count("quiet", 100, HOUR)
    for _ in range(10):
        tally.count("loud", 100, HOUR)
    eventually(lambda: shared.counts)

    assert [(name.partition("/")[0], count) for name, count in shared.counts.items()] == [
        ("loud", 10)
    ]


def test_what_could_not_be_told_is_told_when_it_can_be(shared: Shared) -> None:
    tally = Tally(shared.add)
    shared.is_away = True
    let_in(tally, 4)
    eventually(lambda: shared.refused)

    shared.is_away = False
    let_in(tally, 1)

    eventually(lambda: sum(shared.counts.values()) == 5)


def test_knocks_at_once_are_each_counted(shared: Shared) -> None:
    tally, gate, got = Tally(shared.add), threading.Barrier(8), list[int]()

    def knock() -> None:
        gate.wait()
        got.append(let_in(tally, 5))

    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(got) == 10


def test_windows_that_are_over_are_let_go_of_though_nobody_knocks_much(shared: Shared) -> None:
    tally = Tally(shared.add)
    for number in range(1_000):
        tally.count(f"somebody {number}", 600, 1)

    def knock_once_more() -> bool:
        tally.count("another", 600, 1)
        return sum(map(len, tally._windows.values())) < 10

    eventually(knock_once_more)
    assert not shared.counts


def test_an_error_while_it_is_shared_does_not_end_the_sharing(shared: Shared) -> None:
    def add(name: str, seconds: int, amount: int) -> int | None:
        if not shared.refused:
            shared.refused += 1
            raise RuntimeError("a defect")
        return shared.add(name, seconds, amount)

    tally = Tally(add)
    let_in(tally, 1)
    eventually(lambda: shared.refused)
    let_in(tally, 1)

    eventually(lambda: shared.counts)


@pytest.mark.parametrize("scope", [LimitScope.CALLBACK, LimitScope.HANDSHAKE])
def test_callbacks_and_handshakes_are_counted_in_valkey_too(
    scope: LimitScope, settings: Settings
) -> None:
    settings.ORDERCAST_LIMITS = {**settings.ORDERCAST_LIMITS, scope: "9/minute"}
    rate_limits.admit(scope, "somebody")

    counted = rate_limits._shared().storage
    names = eventually(lambda: list(counted.storage.keys(f"*{scope}/somebody*")))

    assert len(names) == 1


def test_who_comes_too_often_is_told_when_to_come_back(settings: Settings) -> None:
    settings.ORDERCAST_LIMITS = {**settings.ORDERCAST_LIMITS, "callback": "1/minute"}
    rate_limits.admit(LimitScope.CALLBACK, "house", "another")

    with pytest.raises(TooMany) as many:
        rate_limits.admit(LimitScope.CALLBACK, "house", "another")

    assert 1 <= many.value.retry_after <= 60
