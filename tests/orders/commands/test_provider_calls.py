"""Talking with a real provider process: what is intended is written down first, and survives every lost answer."""

from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from orders.commands import provider_calls
from orders.domain.errors import (
    IdempotencyConflict,
    IllegalMove,
    OrderNotFound,
    ProviderRefused,
)
from orders.models import Order, Payment
from orders.payments.registry import UnknownProvider
from tests.builders import API, an_order, an_order_that_is, at_once, journal_of, types_of
from tests.orders.conftest import reach, take_away
from tests.orders.talking import creates, looks, refresh, start, theirs
from tests.sandbox import SandboxProcess


def test_a_payment_by_callback_answers_with_a_checkout_address(provider: SandboxProcess) -> None:
    order = an_order()

    payment = start(order, return_url="https://shop.example/thanks")

    order.refresh_from_db()
    assert order.state == "awaiting_payment"
    assert payment.status == "pending"
    assert payment.checkout_url == f"{provider.url}/checkout/{payment.provider_ref}"
    assert theirs(provider, payment)["amount"] == 1_000


@pytest.mark.parametrize(
    ("outcome", "status", "state"),
    [
        ("paid", "captured", "paid"),
        ("declined", "failed", "failed"),
        ("processing", "processing", "processing"),
        ("authorised", "authorised", "authorised"),
    ],
)
def test_a_synchronous_payment_ends_within_the_call(
    provider: SandboxProcess, outcome: str, status: str, state: str
) -> None:
    order = an_order(metadata={"sandbox": {"outcome": outcome, "settle_after": 600}})

    payment = start(order, "sync")

    order.refresh_from_db()
    assert (payment.status, order.state) == (status, state)


def test_a_declined_order_is_paid_at_the_second_try(provider: SandboxProcess) -> None:
    order = an_order(metadata={"sandbox": {"outcome": "declined"}})
    start(order, "sync")

    second = start(order)
    provider.act(second.ref, "pay")
    refresh(order)

    assert (order.state, order.captured) == ("paid", 1_000)
    assert [state for _, _, state in journal_of(order)][1:] == [
        "awaiting_payment", "failed", "awaiting_payment", "paid",
    ]  # fmt: skip


def test_a_synchronous_payment_that_takes_too_long_is_found_out_later(
    provider: SandboxProcess, settings: Settings
) -> None:
    order = an_order(metadata={"sandbox": {"slow": 2}})
    reach(settings, provider.url, timeout=0.3)

    payment = start(order, "sync")
    assert (payment.status, looks()) == ("intended", ["ambiguous"])
    reach(settings, provider.url)
    found = refresh(order)

    assert (found, order.state, order.captured) == (["applied"], "paid", 1_000)


def test_the_same_key_gives_the_same_payment_and_asks_the_provider_once(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    before = creates(provider)

    results = at_once(*[lambda: start(order, idempotency_key="k")] * 4)

    assert {result.ref for result in results if isinstance(result, Payment)} == {
        Payment.objects.get().ref
    }
    assert creates(provider) - before == 1


def test_the_same_key_in_another_mode_is_refused(provider: SandboxProcess) -> None:
    order = an_order()
    start(order, idempotency_key="k")

    with pytest.raises(IdempotencyConflict):
        start(order, "sync", idempotency_key="k")

    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "answer_500", "after_work": True},
        {"fault": "answer_500"},
        {"fault": "answer_garbled"},
        {"fault": "connection_cut"},
        {"fault": "answer_503"},
        {"fault": "answer_429"},
    ],
    ids=str,
)
def test_a_lost_answer_to_a_create_is_settled_with_the_same_key(
    provider: SandboxProcess, fault: dict[str, Any]
) -> None:
    order = an_order()
    provider.set_faults(fault | {"calls": ["create"]})

    payment = start(order)
    assert (payment.status, Order.objects.get().state) == ("intended", "created")
    found = refresh(order)

    payment.refresh_from_db()
    assert (found, order.state) == (["applied"], "awaiting_payment")
    assert types_of(order) == ["order.created", "payment.started"]
    assert theirs(provider, payment)["provider_ref"] == payment.provider_ref


def test_a_provider_that_is_away_keeps_what_was_intended(
    provider: SandboxProcess, settings: Settings
) -> None:
    order = an_order()
    take_away(settings)

    payment = start(order, "sync")
    still = refresh(order)
    assert (payment.status, still, looks()) == ("intended", ["unavailable"], ["unavailable"] * 2)
    reach(settings, provider.url)
    found = refresh(order)

    assert (found, order.state) == (["applied"], "paid")


def test_a_payment_that_the_provider_refuses_fails_the_order(provider: SandboxProcess) -> None:
    order = an_order(metadata={"sandbox": {"outcome": "nonsense"}})

    with pytest.raises(ProviderRefused, match="house refused the payment"):
        start(order)

    order.refresh_from_db()
    assert (order.state, Payment.objects.get().status) == ("failed", "failed")


@pytest.mark.parametrize("state", ["paid", "refunded", "cancelled", "expired", "disputed"])
def test_an_order_that_is_paid_or_closed_takes_no_payment(
    provider: SandboxProcess, state: str
) -> None:
    before = creates(provider)

    with pytest.raises(IllegalMove, match="'start' is not possible"):
        start(an_order_that_is(state))

    assert (creates(provider), Payment.objects.count()) == (before, 0)


def test_an_unknown_provider_and_an_unknown_order_are_refused(provider: SandboxProcess) -> None:
    with pytest.raises(UnknownProvider, match="configured: house"):
        start(an_order(), provider="elsewhere")
    with pytest.raises(OrderNotFound):
        provider_calls.start_payment("f" * 32, mode="sync", cause=API)

    assert not Payment.objects.exists()


def test_a_repeated_create_sends_the_customer_back_to_where_the_first_would_have(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    provider.set_faults({"fault": "answer_503", "calls": ["create"]})
    payment = start(order, return_url="https://shop.example/thanks?order=7")

    refresh(order)

    assert payment.status == "intended"
    assert theirs(provider, payment)["return_url"] == "https://shop.example/thanks?order=7"


def test_without_an_address_of_the_shop_a_customer_comes_back_to_a_page_that_they_may_see(
    provider: SandboxProcess,
) -> None:
    order = an_order()

    payment = start(order)

    asked = provider_calls.create_request(payment).return_url
    assert Client().get(asked, follow=True).status_code == HTTPStatus.OK
