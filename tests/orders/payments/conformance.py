"""What every provider promises, as tests against a real server process.

A provider's own test file inherits `ProviderConformance` and gives it a `world`: the server, seen from both sides.
"""

from dataclasses import replace

import pytest

from orders.payments.base import (
    DisputeStatus,
    NotFound,
    PaymentStatus,
    Provider,
    RefundStatus,
    RequestRefused,
    Snapshot,
)
from tests.orders.payments.conformance_callbacks import CallsBack
from tests.orders.payments.conformance_errors import SaysWhatToDoNext
from tests.orders.payments.worlds import World, asked, cancel_of, refund_of


class ProviderConformance(SaysWhatToDoNext, CallsBack):
    """Inherit, and give a `world` fixture."""

    @pytest.fixture
    def provider(self, world: World) -> Provider:
        return world.provider()

    @pytest.fixture
    def paid(self, world: World, provider: Provider) -> Snapshot:
        payment = provider.create(asked(world))
        world.act(payment, "pay")
        return provider.fetch(payment.merchant_ref, payment.provider_ref)

    # create and fetch

    def test_a_created_payment_waits_for_the_customer(
        self, world: World, provider: Provider
    ) -> None:
        request = asked(world)

        payment = provider.create(request)

        assert payment.status is PaymentStatus.PENDING
        assert (payment.merchant_ref, payment.amount, payment.currency) == (
            request.merchant_ref,
            1250,
            "EUR",
        )
        assert payment.provider_ref
        assert payment.checkout_url.startswith("http")

    def test_creating_again_with_the_same_reference_gives_the_same_payment(
        self, world: World, provider: Provider
    ) -> None:
        request = asked(world)

        assert provider.create(request) == provider.create(request)

    def test_the_same_reference_with_another_amount_is_refused(
        self, world: World, provider: Provider
    ) -> None:
        request = asked(world)
        provider.create(request)

        with pytest.raises(RequestRefused):
            provider.create(replace(request, amount=1251))

    def test_a_payment_is_found_by_either_reference(self, world: World, provider: Provider) -> None:
        payment = provider.create(asked(world))

        assert provider.fetch(payment.merchant_ref, payment.provider_ref) == payment
        assert provider.fetch(payment.merchant_ref, None) == payment

    @pytest.mark.parametrize("provider_ref", [None, "pay_never", "../../etc", "ä?b#c"])
    def test_an_unknown_payment_is_not_found_rather_than_failed(
        self, provider: Provider, provider_ref: str | None
    ) -> None:
        with pytest.raises(NotFound):
            provider.fetch("never-created", provider_ref)

    def test_a_currency_without_minor_unit_keeps_its_amount(
        self, world: World, provider: Provider
    ) -> None:
        payment = provider.create(asked(world, amount=500, currency="JPY"))

        assert (payment.amount, payment.currency) == (500, "JPY")

    def test_a_confirmed_payment_is_answered_with_its_result(
        self, world: World, provider: Provider
    ) -> None:
        payment = provider.create(world.confirmed(asked(world)))

        assert (payment.status, payment.captured) == (PaymentStatus.CAPTURED, 1250)

    def test_a_confirmed_payment_that_is_declined_says_why(
        self, world: World, provider: Provider
    ) -> None:
        payment = provider.create(world.declined(asked(world)))

        assert (payment.status, payment.captured) == (PaymentStatus.FAILED, 0)
        assert payment.failure_code

    # what moves money afterwards

    def test_what_the_customer_pays_is_captured(self, paid: Snapshot) -> None:
        assert (paid.status, paid.captured, paid.refunded) == (PaymentStatus.CAPTURED, 1250, 0)

    def test_held_money_is_authorised_and_not_captured(
        self, world: World, provider: Provider
    ) -> None:
        payment = provider.create(asked(world))

        world.act(payment, "authorise")

        held = provider.fetch(payment.merchant_ref, None)
        assert (held.status, held.authorised, held.captured) == (PaymentStatus.AUTHORISED, 1250, 0)

    def test_refunds_add_up_and_carry_our_reference(
        self, provider: Provider, paid: Snapshot
    ) -> None:
        requests = [refund_of(paid, 300), refund_of(paid, 950)]

        for request in requests:
            payment = provider.refund(request)

        assert payment.refunded == 1250
        assert [r.ref for r in payment.refunds] == [r.ref for r in requests]
        assert {r.status for r in payment.refunds} == {RefundStatus.SUCCEEDED}

    def test_a_repeated_refund_goes_out_once(self, provider: Provider, paid: Snapshot) -> None:
        request = refund_of(paid, 300)

        provider.refund(request)
        provider.refund(request)

        assert provider.fetch(paid.merchant_ref, None).refunded == 300

    def test_more_than_was_captured_is_not_refunded(
        self, provider: Provider, paid: Snapshot
    ) -> None:
        with pytest.raises(RequestRefused) as refused:
            provider.refund(refund_of(paid, 1251))

        assert refused.value.code == "refund_exceeds_captured"

    def test_a_refund_from_the_console_has_no_reference_of_ours(
        self, world: World, provider: Provider, paid: Snapshot
    ) -> None:
        world.act(paid, "refund", 200)

        (refund,) = provider.fetch(paid.merchant_ref, None).refunds
        assert (refund.ref, refund.amount) == (None, 200)

    def test_cancelling_twice_is_harmless(self, world: World, provider: Provider) -> None:
        payment = provider.create(asked(world))

        assert provider.cancel(cancel_of(payment)).status is PaymentStatus.CANCELLED
        assert provider.cancel(cancel_of(payment)).status is PaymentStatus.CANCELLED

    def test_a_paid_payment_is_not_cancelled(self, provider: Provider, paid: Snapshot) -> None:
        with pytest.raises(RequestRefused):
            provider.cancel(cancel_of(paid))

    def test_a_dispute_is_seen_with_its_amount_and_its_end(
        self, world: World, provider: Provider, paid: Snapshot
    ) -> None:
        world.act(paid, "dispute")
        opened = provider.fetch(paid.merchant_ref, None)
        world.act(paid, "lose_dispute")
        lost = provider.fetch(paid.merchant_ref, None)

        assert (opened.dispute, opened.disputed) == (DisputeStatus.OPEN, 1250)
        assert lost.dispute is DisputeStatus.LOST
