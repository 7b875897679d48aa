"""What every provider promises, as tests against a real server process.

A provider's own test file inherits `ProviderConformance` and gives it a `world`: the server, seen from both sides.
"""

import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from orders.payments.base import (
    AckOutcome,
    AmbiguousOutcome,
    BadSignature,
    CancelPayment,
    CreatePayment,
    DisputeStatus,
    NotFound,
    PaymentStatus,
    Provider,
    ProviderEvent,
    RateLimited,
    RefundPayment,
    RefundStatus,
    Refused,
    Snapshot,
    Unavailable,
)
from tests.waiting import eventually

TIMEOUT = (
    1.0  # seconds, of the provider under test; less, and a busy machine looks like a slow provider
)


class World(Protocol):
    """The provider's server, as its owner and its customers see it."""

    callback_url: str
    secret: str
    other_secret: str  # well-formed, and not the provider's

    def provider(
        self, *, url: str | None = None, secrets: Sequence[str] | None = None
    ) -> Provider: ...
    def act(self, payment: Snapshot, action: str, amount: int | None = None) -> None: ...
    def fault(self, kind: str, *calls: str, **options: Any) -> None: ...
    def callbacks(self, least: int = 1) -> Sequence[tuple[Mapping[str, str], bytes]]: ...
    def confirmed(self, request: CreatePayment) -> CreatePayment:
        """The same, to be charged at once, by whatever test means the provider needs for that."""
        ...

    def declined(self, request: CreatePayment) -> CreatePayment:
        """The same, by a customer who has no money."""
        ...


def asked(world: World, **changes: Any) -> CreatePayment:
    """A request for a payment that was never asked for before."""
    request = CreatePayment(
        merchant_ref=secrets.token_hex(16),
        amount=1250,
        currency="EUR",
        return_url="http://127.0.0.1:9/back",
        callback_url=world.callback_url,
    )
    return replace(request, **changes)


def refund_of(payment: Snapshot, amount: int) -> RefundPayment:
    return RefundPayment(
        ref=secrets.token_hex(16),
        merchant_ref=payment.merchant_ref,
        provider_ref=payment.provider_ref,
        amount=amount,
    )


def cancel_of(payment: Snapshot) -> CancelPayment:
    return CancelPayment(merchant_ref=payment.merchant_ref, provider_ref=payment.provider_ref)


class ProviderConformance:
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

        with pytest.raises(Refused):
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
        with pytest.raises(Refused) as refused:
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
        with pytest.raises(Refused):
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

    # errors carry the next step

    def test_too_many_requests_says_when_to_ask_again(
        self, world: World, provider: Provider, paid: Snapshot
    ) -> None:
        world.fault("answer_429", "fetch", seconds=7)

        with pytest.raises(RateLimited) as limited:
            provider.fetch(paid.merchant_ref, None)

        assert limited.value.retry_after == 7

    def test_unavailable_says_when_to_ask_again(self, world: World, provider: Provider) -> None:
        world.fault("answer_503", "create", seconds=9)

        with pytest.raises(Unavailable) as away:
            provider.create(asked(world))

        assert away.value.retry_after == 9

    @pytest.mark.parametrize("kind", ["answer_500", "connection_cut", "answer_garbled"])
    def test_a_fetch_without_an_answer_changes_nothing_and_is_unavailable(
        self, world: World, provider: Provider, paid: Snapshot, kind: str
    ) -> None:
        world.fault(kind, "fetch")

        with pytest.raises(Unavailable):
            provider.fetch(paid.merchant_ref, None)

    @pytest.mark.parametrize("kind", ["answer_500", "connection_cut", "answer_garbled"])
    def test_a_create_without_an_answer_is_ambiguous_and_the_same_call_tells(
        self, world: World, provider: Provider, kind: str
    ) -> None:
        world.fault(kind, "create", **({"after_work": True} if kind == "answer_500" else {}))
        request = asked(world)

        with pytest.raises(AmbiguousOutcome):
            provider.create(request)

        assert provider.fetch(request.merchant_ref, None) == provider.create(request)

    def test_a_refund_without_an_answer_is_ambiguous_and_was_done(
        self, world: World, provider: Provider, paid: Snapshot
    ) -> None:
        world.fault("connection_cut", "refund")

        with pytest.raises(AmbiguousOutcome):
            provider.refund(refund_of(paid, 300))

        assert provider.fetch(paid.merchant_ref, None).refunded == 300

    def test_a_cancel_without_an_answer_is_ambiguous_and_was_done(
        self, world: World, provider: Provider
    ) -> None:
        payment = provider.create(asked(world))
        world.fault("connection_cut", "cancel")

        with pytest.raises(AmbiguousOutcome):
            provider.cancel(cancel_of(payment))

        assert provider.fetch(payment.merchant_ref, None).status is PaymentStatus.CANCELLED

    def test_an_answer_that_comes_too_late_is_ambiguous(
        self, world: World, provider: Provider
    ) -> None:
        world.fault("answer_slow", "create", seconds=TIMEOUT * 3)
        request = world.confirmed(asked(world))

        with pytest.raises(AmbiguousOutcome):
            provider.create(request)

        assert provider.fetch(request.merchant_ref, None).captured == 1250

    def test_a_provider_that_nobody_reaches_is_unavailable(self, world: World) -> None:
        unreachable = world.provider(url="http://127.0.0.1:9")

        with pytest.raises(Unavailable):
            unreachable.create(asked(world))
        with pytest.raises(Unavailable):
            unreachable.fetch("any", None)

    def test_many_threads_share_one_provider(self, world: World, provider: Provider) -> None:
        requests = [asked(world, amount=100 + n) for n in range(24)]

        with ThreadPoolExecutor(8) as threads:
            payments = list(threads.map(provider.create, requests))

        assert [p.amount for p in payments] == [r.amount for r in requests]

    # callbacks

    def test_a_callback_tells_what_a_fetch_would_tell(
        self, world: World, provider: Provider, paid: Snapshot
    ) -> None:
        headers, body = world.callbacks()[0]

        (event,) = provider.parse_callback(headers, body, datetime.now(UTC))

        assert event.snapshot == paid
        assert event.event_id
        assert event.occurred_at is not None

    def test_a_callback_about_a_dispute_leads_to_the_payment(
        self, world: World, provider: Provider, paid: Snapshot
    ) -> None:
        world.act(paid, "dispute")

        def disputed() -> list[ProviderEvent]:
            parsed = [
                provider.parse_callback(headers, body, datetime.now(UTC))
                for headers, body in world.callbacks()
            ]
            return [event for events in parsed for event in events if "dispute" in event.kind]

        (event,) = eventually(disputed)
        assert paid.merchant_ref == event.merchant_ref or paid.provider_ref == event.provider_ref
        now = provider.fetch(paid.merchant_ref, paid.provider_ref)
        assert now.dispute is DisputeStatus.OPEN
        # Either it tells the whole, or it leaves the telling to a fetch.
        assert event.snapshot in (now, None)

    @pytest.mark.usefixtures("paid")
    def test_header_names_may_be_written_in_any_case(
        self, world: World, provider: Provider
    ) -> None:
        headers, body = world.callbacks()[0]

        shouted = {name.upper(): value for name, value in headers.items()}

        assert len(provider.parse_callback(shouted, body, datetime.now(UTC))) == 1

    @pytest.mark.usefixtures("paid")
    def test_any_of_several_secrets_will_do(self, world: World) -> None:
        headers, body = world.callbacks()[0]
        other = world.other_secret
        rotating = world.provider(secrets=[other, world.secret])

        assert len(rotating.parse_callback(headers, body, datetime.now(UTC))) == 1
        with pytest.raises(BadSignature):
            world.provider(secrets=[other]).parse_callback(headers, body, datetime.now(UTC))

    @pytest.mark.usefixtures("paid")
    def test_a_changed_byte_anywhere_in_the_body_is_seen(
        self, world: World, provider: Provider
    ) -> None:
        headers, body = world.callbacks()[0]

        for place in range(len(body)):
            changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            with pytest.raises(BadSignature):
                provider.parse_callback(headers, changed, datetime.now(UTC))

    @pytest.mark.usefixtures("paid")
    @pytest.mark.parametrize("off", [timedelta(minutes=6), timedelta(minutes=-6)])
    def test_a_callback_from_another_time_is_refused(
        self, world: World, provider: Provider, off: timedelta
    ) -> None:
        headers, body = world.callbacks()[0]

        with pytest.raises(BadSignature):
            provider.parse_callback(headers, body, datetime.now(UTC) + off)

    def test_the_answer_to_a_callback_tells_the_provider_what_to_do(
        self, provider: Provider
    ) -> None:
        assert 200 <= provider.ack(AckOutcome.ACCEPTED).status < 300
        assert provider.ack(AckOutcome.BAD_SIGNATURE).status == 400
        assert provider.ack(AckOutcome.MALFORMED).status == 400
        assert provider.ack(AckOutcome.TRY_AGAIN).status == 503
