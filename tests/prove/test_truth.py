"""The judge itself: it has to see what it is there for, or its silence is worth nothing."""

from dataclasses import replace

from tests.prove.provider import Account
from tests.prove.truth import Ours, Seen, wrong_at_the_end, wrong_in_history

CREATED = Seen(
    version=1, type="order.created", state="created", source="api", captured=0, refunded=0
)
PAID = replace(CREATED, version=2, type="payment.captured", state="paid", captured=1_000)
ACCOUNT = Account("ref", "pay_ref", 1_000, "EUR", status="captured", captured=1_000)
OURS = Ours(state="paid", total=1_000, captured=1_000, refunded=0)


def test_a_sound_history_is_left_alone() -> None:
    assert wrong_in_history([CREATED, PAID]) == []
    assert wrong_at_the_end(OURS, [ACCOUNT]) == []


def test_a_hole_an_illegal_move_and_lowered_money_are_seen() -> None:
    assert wrong_in_history([CREATED, replace(PAID, version=3)])
    assert wrong_in_history([CREATED, replace(PAID, type="payment.started")])
    assert wrong_in_history(
        [CREATED, PAID, replace(PAID, version=3, type="order.flagged", captured=0)]
    )
    assert wrong_in_history([CREATED, PAID, replace(PAID, version=3, state="failed")])
    assert wrong_in_history([CREATED, replace(PAID, type="order.expired", state="created")])


def test_an_order_that_is_not_as_the_provider_says_is_seen() -> None:
    assert wrong_at_the_end(replace(OURS, captured=0, state="awaiting_payment"), [ACCOUNT])
    assert wrong_at_the_end(OURS, [replace(ACCOUNT, dispute="open")])
    assert wrong_at_the_end(OURS, [ACCOUNT, replace(ACCOUNT, status="pending", captured=0)]) == []
    assert wrong_at_the_end(replace(OURS, captured=2_000), [ACCOUNT, ACCOUNT])
    assert wrong_at_the_end(replace(OURS, state="expired"), [ACCOUNT])


def test_only_a_person_who_was_called_excuses_it() -> None:
    wrong = replace(OURS, captured=0, state="awaiting_payment")

    assert wrong_at_the_end(replace(wrong, flags={"mismatch"}, called={"mismatch"}), [ACCOUNT])
    assert not wrong_at_the_end(replace(wrong, flags={"conflict"}), [ACCOUNT])
