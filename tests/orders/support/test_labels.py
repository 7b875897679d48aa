"""Every code that is stored has a label, so that nobody reads a code where a language has a word."""

from orders.domain import event_registry
from orders.domain.cause import Source
from orders.domain.outcomes import Outcome
from orders.domain.states import State
from orders.payments.base import PaymentStatus, RefundStatus
from orders.support import labels


def test_states_statuses_and_outcomes_have_labels() -> None:
    codes = [*State, *PaymentStatus, *RefundStatus, *Outcome]

    assert [str(code) for code in codes if labels.of(code) == code.replace("_", " ")] == []


def test_each_event_type_has_a_label() -> None:
    assert set(event_registry.registered()) == set(labels.EVENTS)


def test_each_source_has_a_label() -> None:
    assert set(labels.SOURCES) == {str(source) for source in Source}


def test_an_unknown_code_is_shown_without_underscores() -> None:
    assert labels.of("illegal_move") == "illegal move"
