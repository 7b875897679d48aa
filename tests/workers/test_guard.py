"""The reconciler's budget and breaker, shared through the real Valkey."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import redis
from pytest_django import Settings

from orders.models import Order, Payment
from tests.sandbox import SandboxProcess
from tests.waiting import eventually
from tests.workers.conftest import begun, make_due
from workers import guard, reconciler
from workers.guard import FAILURES, Guard


@pytest.fixture(autouse=True)
def _empty_valkey(valkey: redis.Redis) -> Iterator[None]:
    yield
    guard._valkey.cache_clear()
    guard._shared_limiter.cache_clear()
    guard._own_limiter.cache_clear()


def _fetches(provider: SandboxProcess) -> int:
    calls: dict[str, int] = provider.control("GET", "calls")
    return calls.get("fetch", 0)


def test_a_provider_that_is_down_is_left_alone_and_uses_up_no_attempt(
    provider: SandboxProcess,
) -> None:
    payments = [begun()[1] for _ in range(FAILURES + 3)]
    provider.set_faults({"fault": "answer_503", "count": 500})
    before = _fetches(provider)

    for _ in range(10):
        for payment in payments:
            make_due(payment)
        reconciler.tick()

    assert _fetches(provider) - before <= FAILURES + 3  # one round; then the breaker is open
    assert set(Payment.objects.values_list("step", flat=True)) == {0}
    assert Order.objects.filter(needs_review=True).count() == 0


def test_a_provider_that_is_back_is_asked_again_without_a_person(
    provider: SandboxProcess, settings: Settings
) -> None:
    settings.ORDERCAST_CHECK_TIME_SCALE = 0.2  # a pause of 6 s
    payments = [begun()[1] for _ in range(FAILURES)]
    provider.set_faults({"fault": "answer_503", "count": FAILURES})
    for payment in payments:
        make_due(payment)
        provider.act(payment.provider_ref, "pay")
    reconciler.tick()
    Payment.objects.update(next_check_at="2020-01-01T00:00:00Z")
    assert reconciler.tick().checked == 0

    eventually(
        lambda: reconciler.tick().checked and not Order.objects.exclude(state="paid").count(), 15
    )

    assert Guard("house").allowance(7).questions == 7


def a_new_second(after: int) -> bool:
    now = time.time()
    return int(now) > after and now % 1 < 0.1


def within_one_second(take: Callable[[], list[int]]) -> list[int]:
    """What it took where it did so within one second of the clock, as the budget counts, and had that to itself."""
    began, ended = 0, 1
    while began != ended:
        eventually(partial(a_new_second, ended), 60)
        began = int(time.time())
        taken = take()
        ended = int(time.time())
    return taken


def test_no_second_asks_more_than_the_budget_over_all_workers(settings: Settings) -> None:
    settings.ORDERCAST_PROVIDER_RATE = 5

    taken = within_one_second(lambda: [Guard("house").allowance(3).questions for _ in range(4)])

    assert taken == [3, 2, 0, 0]


def test_a_spent_budget_is_waited_for_within_the_tick(
    provider: SandboxProcess, settings: Settings
) -> None:
    settings.ORDERCAST_PROVIDER_RATE = 4
    for _ in range(6):
        make_due(begun()[1])

    tick = reconciler.tick()

    assert tick.checked == 6


@pytest.mark.usefixtures("database")
def test_without_valkey_each_worker_keeps_to_the_budget_for_itself(settings: Settings) -> None:
    settings.VALKEY_URL = "redis://127.0.0.1:1"
    settings.ORDERCAST_PROVIDER_RATE = 5
    guard._valkey.cache_clear()

    taken = within_one_second(lambda: [Guard("house").allowance(4).questions for _ in range(2)])
    Guard("house").report("unavailable")

    assert taken == [4, 1]
