"""A budget is spent by each name, fills again with time, and is forgotten once it is full."""

from realtime.runtime.budgets import BURST, SWEEP, Budgets

RATES = {"grant": 10.0, "address": 100.0}
ALL = 10.0 * BURST


def test_what_is_spent_is_gone_and_comes_back_with_time() -> None:
    budgets = Budgets(RATES)

    assert budgets.spend(["grant:a"], ALL, now=0.0) is None
    assert budgets.spend(["grant:a"], 1, now=0.0) == "grant:a"
    assert budgets.spend(["grant:a"], 10, now=1.0) is None
    assert budgets.spend(["grant:a"], 1, now=1.0) == "grant:a"
    assert budgets.spend(["grant:a"], ALL, now=1_000.0) is None
    assert budgets.spend(["grant:a"], 1, now=1_000.0) == "grant:a"  # and never more than all of it


def test_each_name_has_its_own() -> None:
    budgets = Budgets(RATES)

    assert budgets.spend(["grant:a", "address:x"], ALL, now=0.0) is None
    assert budgets.spend(["grant:b", "address:x"], ALL, now=0.0) is None


def test_where_one_has_not_enough_nobody_is_charged() -> None:
    budgets = Budgets(RATES)
    budgets.spend(["grant:a"], ALL, now=0.0)

    assert budgets.spend(["grant:a", "grant:b"], ALL, now=0.0) == "grant:a"
    assert budgets.spend(["grant:b"], ALL, now=0.0) is None


def test_nobody_is_nobody_who_is_charged() -> None:
    assert Budgets(RATES).spend([], 10**9) is None


def test_a_budget_that_is_full_again_is_not_kept() -> None:
    budgets = Budgets(RATES)
    for number in range(1_000):
        budgets.spend([f"grant:{number}"], 5, now=0.0)

    budgets.spend(["grant:late"], 5, now=10 * SWEEP)

    assert list(budgets._buckets) == ["grant:late"]
