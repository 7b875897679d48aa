"""An order that is paid by Stripe, from our view to Stripe's and back: what callbacks and checks make of it."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from orders.callbacks import intake
from orders.commands import lifecycle, provider_calls, refresh, refunds, snapshots
from orders.domain.cause import Cause, Source
from orders.domain.outcomes import Outcome
from orders.models import CallbackReceipt, Order, Payment
from orders.payments import registry
from orders.payments.stripe import Stripe
from tests.orders.deliveries import post
from tests.orders.payments.receiver import Received, Receiver
from tests.sandbox import SandboxProcess
from tests.waiting import eventually

API = Cause(Source.API, "shop")


class Shop:
    """An order with a payment at Stripe, and the callbacks about it, delivered when a test says so."""

    def __init__(self, sandbox: SandboxProcess, came: Receiver) -> None:
        self._sandbox, self._came = sandbox, came
        order, _ = lifecycle.create_order(total=1250, currency="EUR", cause=API)
        self.ref = order.ref
        self.payment_ref = provider_calls.start_payment(order.ref, mode="callback", cause=API).ref

    @property
    def state(self) -> str:
        return str(Order.objects.get(ref=self.ref).state)

    @property
    def flags(self) -> list[str]:
        return list(Order.objects.get(ref=self.ref).flags)

    @property
    def payment(self) -> Payment:
        return Payment.objects.get(ref=self.payment_ref)

    def act(self, action: str, amount: int | None = None) -> None:
        self._sandbox.act(self.payment_ref, action, amount)

    def callback(self, kind: str) -> Received:
        def found() -> list[Received]:
            return [came for came in self._came.received if f'"{kind}"'.encode() in came.body]

        return eventually(found, saying=f"{kind} had come")[0]

    def deliver(self, kind: str) -> str:
        """Hand the callback to our view; gives what became of it."""
        came = self.callback(kind)
        answer = post(came.body, {"Stripe-Signature": came.headers["stripe-signature"]}, "stripe")
        assert answer.status_code == 200
        return CallbackReceipt.objects.get(kind=kind).outcome

    def look(self) -> None:
        refresh.refresh_order(self.ref, cause=Cause(Source.RECONCILER, "test"))


@pytest.fixture
def shop(
    sandbox: SandboxProcess, callbacks: Receiver, settings: Settings, database: None
) -> Iterator[Shop]:
    sandbox.client.post("/v1/webhook_endpoints", data={"url": callbacks.url})
    account: dict[str, Any] = {
        "url": sandbox.url,
        "key": sandbox.key,
        "webhook_secrets": [sandbox.secret],
        "timeout": 2.0,
    }
    settings.ORDERCAST_PROVIDERS = {"stripe": account}
    settings.ORDERCAST_DEFAULT_PROVIDER = "stripe"
    registry.cache_clear()
    yield Shop(sandbox, callbacks)
    cast("Stripe", registry.get("stripe")).close()
    registry.cache_clear()


def test_a_customer_pays_on_stripes_page_and_the_callback_tells(shop: Shop) -> None:
    waiting = shop.payment
    shop.act("pay")

    assert shop.deliver("checkout.session.completed") == Outcome.APPLIED

    assert (shop.state, shop.flags) == ("paid", [])
    assert (waiting.provider_ref[:3], shop.payment.provider_ref[:3]) == ("cs_", "pi_")
    assert waiting.checkout_url.startswith("http")


def test_when_every_callback_is_lost_a_look_tells_the_same(shop: Shop) -> None:
    shop.act("pay")

    shop.look()

    assert (shop.state, shop.flags) == ("paid", [])
    assert shop.payment.provider_ref.startswith("pi_")


def test_a_dispute_names_only_the_intent_and_still_finds_its_order(shop: Shop) -> None:
    shop.act("pay")
    shop.deliver("checkout.session.completed")
    assert shop.payment.next_check_at is None
    shop.act("dispute")

    assert shop.deliver("charge.dispute.created") == Outcome.ASKING

    assert cast("Any", shop.payment.next_check_at) <= timezone.now()
    shop.look()
    assert shop.state == "disputed"


def test_a_refund_in_stripes_console_is_asked_about_and_shown(shop: Shop) -> None:
    shop.act("pay")
    shop.deliver("checkout.session.completed")
    shop.act("refund", 250)

    assert shop.deliver("charge.refunded") == Outcome.ASKING
    shop.look()

    assert (shop.state, shop.payment.refunded) == ("partially_refunded", 250)


def test_a_refund_of_ours_is_known_by_our_reference(shop: Shop) -> None:
    shop.act("pay")
    shop.deliver("checkout.session.completed")

    refund = refunds.request_refund(shop.ref, amount=1250, reason="broken", cause=API)

    assert (shop.state, refund.status) == ("refunded", "succeeded")
    assert refund.provider_ref.startswith("re_")


def test_what_was_said_before_the_payment_got_its_new_name_is_no_mismatch(shop: Shop) -> None:
    before = registry.get("stripe").fetch(shop.payment_ref, shop.payment.provider_ref)
    shop.act("pay")
    shop.deliver("checkout.session.completed")
    paid = shop.payment.provider_ref

    outcome, _ = snapshots.apply_snapshot(shop.payment.pk, before, API)

    assert (outcome, shop.flags) == (Outcome.ASKING, [])
    assert shop.payment.provider_ref == paid


def test_a_cancelled_order_closes_stripes_page(shop: Shop) -> None:
    provider_calls.cancel_order(shop.ref, reason="changed my mind", cause=API)

    assert shop.state == "cancelled"


def test_a_dispute_that_overtakes_the_payment_is_matched_later(shop: Shop) -> None:
    shop.act("pay")
    shop.act("dispute")
    assert shop.deliver("charge.dispute.created") == Outcome.UNMATCHED

    shop.deliver("checkout.session.completed")
    CallbackReceipt.objects.update(next_try_at=timezone.now())
    intake.retry_unmatched(timezone.now())

    receipt = CallbackReceipt.objects.get(kind="charge.dispute.created")
    assert (receipt.outcome, receipt.payment) == (Outcome.ASKING, shop.payment)
