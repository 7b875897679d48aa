"""The Stripe provider: the conformance suite against the sandbox speaking Stripe's shapes, and what it adds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders.payments.base import (
    CreatePayment,
    DisputeStatus,
    Lists,
    PaymentStatus,
    Provider,
    RequestRefused,
    Snapshot,
    Unavailable,
)
from orders.payments.stripe import Stripe, reading
from tests.orders.payments.conformance import ProviderConformance
from tests.orders.payments.receiver import Receiver
from tests.orders.payments.worlds import TIMEOUT, asked, cancel_of, refund_of
from tests.sandbox import SandboxProcess

SECRET = "whsec_stripe-test"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class StripeWorld:
    """The sandbox, spoken to as Stripe."""

    other_secret = "whsec_another-one"

    def __init__(self, sandbox: SandboxProcess, callbacks: Receiver) -> None:
        self._sandbox, self._callbacks = sandbox, callbacks
        self.callback_url, self.secret = callbacks.url, sandbox.secret
        self._made: list[Stripe] = []
        sandbox.client.post("/v1/webhook_endpoints", data={"url": callbacks.url})

    def provider(self, *, url: str | None = None, secrets: Sequence[str] | None = None) -> Provider:
        made = Stripe(
            self._sandbox.key,
            list(secrets or [self.secret]),
            TIMEOUT,
            url=url or self._sandbox.url,
        )
        self._made.append(made)
        return made

    def act(self, payment: Snapshot, action: str, amount: int | None = None) -> None:
        self._sandbox.act(payment.merchant_ref, action, amount)

    def fault(self, kind: str, *calls: str, **options: Any) -> None:
        self._sandbox.set_faults({"fault": kind, "calls": calls, **options})

    def callbacks(self, least: int = 1) -> Sequence[tuple[Mapping[str, str], bytes]]:
        return [(came.headers, came.body) for came in self._callbacks.wait_for(least)]

    def confirmed(self, request: CreatePayment) -> CreatePayment:
        by = {"stripe_payment_method": "pm_card_visa"}
        return replace(request, confirm=True, metadata=by)

    def declined(self, request: CreatePayment) -> CreatePayment:
        by = {"stripe_payment_method": "pm_card_visa_chargeDeclined"}
        return replace(request, confirm=True, metadata=by)

    def close(self) -> None:
        for made in self._made:
            made.close()


@pytest.fixture
def world(sandbox: SandboxProcess, callbacks: Receiver) -> Iterator[StripeWorld]:
    made = StripeWorld(sandbox, callbacks)
    yield made
    made.close()


class TestStripe(ProviderConformance):
    """Stripe passes the suite."""


@pytest.fixture
def stripe(world: StripeWorld) -> Provider:
    return world.provider()


def fetched(stripe: Provider, payment: Snapshot) -> Snapshot:
    return stripe.fetch(payment.merchant_ref, payment.provider_ref)


def test_a_declined_customer_may_take_another_card_on_the_same_page(
    world: StripeWorld, stripe: Provider
) -> None:
    payment = stripe.create(asked(world))

    world.act(payment, "decline")
    declined = fetched(stripe, payment)
    world.act(payment, "pay")

    assert (declined.status, declined.failure_code) == (PaymentStatus.PENDING, "generic_decline")
    assert declined.checkout_url == payment.checkout_url
    assert fetched(stripe, payment).status is PaymentStatus.CAPTURED


def test_a_session_is_known_by_its_intent_once_there_is_one(
    world: StripeWorld, stripe: Provider
) -> None:
    session = stripe.create(asked(world))
    world.act(session, "pay")

    paid = fetched(stripe, session)

    assert session.is_to_be_renamed
    assert (session.provider_ref[:3], paid.provider_ref[:3]) == ("cs_", "pi_")
    assert paid.may_be(session.provider_ref)
    assert paid.name_after(session.provider_ref) == paid.provider_ref
    assert session.name_after(paid.provider_ref) == paid.provider_ref
    assert fetched(stripe, paid) == paid


def test_a_page_that_has_expired_is_called_off(world: StripeWorld, stripe: Provider) -> None:
    payment = stripe.create(asked(world))

    world.act(payment, "expire")

    assert fetched(stripe, payment).status is PaymentStatus.CANCELLED
    assert stripe.cancel(cancel_of(payment)).status is PaymentStatus.CANCELLED


def test_a_declined_page_is_called_off_by_the_intents_name(
    world: StripeWorld, stripe: Provider
) -> None:
    payment = stripe.create(asked(world))
    world.act(payment, "decline")
    declined = fetched(stripe, payment)

    assert declined.provider_ref.startswith("pi_")
    assert stripe.cancel(cancel_of(declined)).status is PaymentStatus.CANCELLED


def test_held_money_is_given_free_by_the_intents_name(world: StripeWorld, stripe: Provider) -> None:
    payment = stripe.create(asked(world))
    world.act(payment, "authorise")
    held = fetched(stripe, payment)

    assert stripe.cancel(cancel_of(held)).status is PaymentStatus.CANCELLED


def test_more_refunds_than_come_along_are_all_there(world: StripeWorld, stripe: Provider) -> None:
    payment = stripe.create(world.confirmed(asked(world)))
    for _ in range(12):
        world.act(payment, "refund", 10)

    assert [r.amount for r in fetched(stripe, payment).refunds] == [10] * 12


def test_a_refund_can_be_asked_for_by_the_sessions_name(
    world: StripeWorld, stripe: Provider
) -> None:
    payment = stripe.create(asked(world))
    world.act(payment, "pay")

    assert stripe.refund(refund_of(payment, 250)).refunded == 250


def test_nothing_is_refunded_of_a_page_that_nobody_has_paid(
    world: StripeWorld, stripe: Provider
) -> None:
    payment = stripe.create(asked(world))

    with pytest.raises(RequestRefused) as refused:
        stripe.refund(refund_of(payment, 250))

    assert refused.value.code == "not_captured"


def test_a_won_dispute_gives_the_money_back(world: StripeWorld, stripe: Provider) -> None:
    payment = stripe.create(world.confirmed(asked(world)))
    world.act(payment, "dispute")
    world.act(payment, "win_dispute")

    won = fetched(stripe, payment)

    assert (won.dispute, won.disputed) == (DisputeStatus.WON, 0)


def test_the_list_has_each_payment_once_as_a_fetch_tells_it(
    world: StripeWorld, stripe: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 2)
    since = datetime.now(UTC) - timedelta(seconds=1)
    made = [stripe.create(asked(world)) for _ in range(3)]
    world.act(made[0], "pay")
    made += [stripe.create(world.confirmed(asked(world))) for _ in range(2)]
    world.act(made[3], "dispute")

    assert isinstance(stripe, Lists)
    found: list[Snapshot] = []
    cursor = ""
    while not found or cursor:
        page = stripe.list_payments(since, cursor)
        found += page.payments
        cursor = page.next_cursor

    ours = [told for told in found if told.merchant_ref in {each.merchant_ref for each in made}]
    newest_first = [*made[2::-1], *made[:2:-1]]
    assert ours == [fetched(stripe, each) for each in newest_first]


def test_to_charge_at_once_needs_a_payment_method(world: StripeWorld, stripe: Provider) -> None:
    with pytest.raises(RequestRefused) as refused:
        stripe.create(asked(world, confirm=True))

    assert refused.value.code == "payment_method_missing"


@pytest.mark.parametrize(("amount", "currency"), [(700, "ISK"), (700, "UGX"), (500, "JPY")])
def test_currencies_that_stripe_counts_in_its_own_way_keep_their_amount(
    world: StripeWorld, stripe: Provider, amount: int, currency: str
) -> None:
    payment = stripe.create(world.confirmed(asked(world, amount=amount, currency=currency)))

    back = stripe.refund(refund_of(payment, amount - 1))

    assert (payment.amount, payment.captured) == (amount, amount)
    assert back.refunded == amount - 1


def test_an_amount_that_stripe_cannot_write_is_refused(
    world: StripeWorld, stripe: Provider
) -> None:
    with pytest.raises(RequestRefused) as refused:
        stripe.create(asked(world, amount=150, currency="MGA"))

    assert refused.value.code == "amount_not_representable"


def test_a_key_that_is_refused_fails_no_order(sandbox: SandboxProcess, world: StripeWorld) -> None:
    wrong = Stripe("sk_wrong", [SECRET], TIMEOUT, url=sandbox.url)

    with pytest.raises(Unavailable):
        wrong.create(asked(world))
    with pytest.raises(Unavailable):
        wrong.fetch("any", "pi_any")
    wrong.close()


def test_no_secret_at_all_is_a_configuration_error() -> None:
    for secrets in ([], [""], [SECRET, " "]):
        with pytest.raises(ValueError, match="webhook secret"):
            Stripe("sk", secrets, TIMEOUT)
