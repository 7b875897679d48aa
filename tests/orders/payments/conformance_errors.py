"""Part of the conformance suite: errors that carry the next step, and calls whose answer is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from orders.payments.base import (
    AmbiguousOutcome,
    PaymentStatus,
    Provider,
    RateLimited,
    Snapshot,
    Unavailable,
)
from tests.orders.payments.worlds import TIMEOUT, World, asked, cancel_of, refund_of


class SaysWhatToDoNext:
    """Inherited by `ProviderConformance`."""

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
