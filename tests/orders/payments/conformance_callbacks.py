"""Part of the conformance suite: callbacks, their signatures and their answers."""

from datetime import UTC, datetime, timedelta

import pytest

from orders.payments.base import (
    AckOutcome,
    BadSignature,
    DisputeStatus,
    Provider,
    ProviderEvent,
    Snapshot,
)
from tests.orders.payments.worlds import World
from tests.waiting import eventually


class CallsBack:
    """Inherited by `ProviderConformance`."""

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
