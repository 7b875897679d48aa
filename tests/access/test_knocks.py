"""Live streams are counted by each process, and by all of them together a moment later."""

import time
from collections.abc import Callable

import pytest
import redis
from pytest_django import Settings

from backend.knocks import Knocks
from orders.limits import TooMany
from tests.waiting import eventually

HERE = "203.0.113.5"


@pytest.fixture
def rate(settings: Settings, valkey: object) -> Callable[[str], None]:
    def change(text: str) -> None:
        settings.ORDERCAST_LIMITS = {**settings.ORDERCAST_LIMITS, "handshake": text}

    return change


def is_let_in(process: Knocks, address: str = HERE) -> bool:
    try:
        process.admit(address)
    except TooMany:
        return False
    return True


def until_shared(process: Knocks) -> None:
    eventually(lambda: not any(count.underway for count in process._counts.values()))


def test_a_client_is_let_in_so_often_and_then_told_when_to_come_back(
    rate: Callable[[str], None],
) -> None:
    rate("3/hour")
    process = Knocks()

    answers = [is_let_in(process) for _ in range(4)]

    assert answers == [True, True, True, False]
    assert is_let_in(process, "203.0.113.6")
    with pytest.raises(TooMany) as refused:
        process.admit(HERE)
    assert 1 <= refused.value.retry_after <= 3_600


def test_what_other_processes_have_let_in_counts(rate: Callable[[str], None]) -> None:
    rate("10/hour")
    one, two = Knocks(), Knocks()
    for process in (one, two):
        for _ in range(5):
            assert is_let_in(process)
            until_shared(process)

    assert not is_let_in(two)


def test_a_tenth_of_the_rate_is_shared_at_once_and_less_never(
    rate: Callable[[str], None], valkey: "redis.Redis"
) -> None:
    rate("100/hour")
    process = Knocks()

    for _ in range(9):
        process.admit(HERE)
    before = valkey.keys("*handshake*")
    process.admit(HERE)
    until_shared(process)

    assert before == []
    assert [valkey.get(key) for key in valkey.keys("*handshake*")] == [b"10"]


def test_without_valkey_each_process_counts_for_itself(
    rate: Callable[[str], None], settings: Settings
) -> None:
    settings.VALKEY_URL = "redis://127.0.0.1:1/0"
    rate("3/hour")
    process = Knocks()
    answers = []
    for _ in range(4):
        answers.append(is_let_in(process))
        until_shared(process)

    assert answers == [True, True, True, False]


def test_the_next_window_begins_anew_and_nothing_is_kept_of_the_last(
    rate: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rate("1/hour")
    process = Knocks()
    for number in range(5):
        process.admit(f"203.0.113.{number}")
    until_shared(process)
    later = time.time() + 3_600
    monkeypatch.setattr(time, "time", lambda: later)

    assert is_let_in(process, "203.0.113.0")
    assert len(process._counts) == 1
