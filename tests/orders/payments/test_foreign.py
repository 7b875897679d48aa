"""A payment system that differs where Alipay, WeChat Pay v3 and Adyen do: it passes the suite; nothing else changes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pytest_django.fixtures import Settings

from orders.commands import lifecycle, provider_calls
from orders.domain.cause import Cause, Source
from orders.models import CallbackReceipt, Order
from orders.payments import registry
from orders.payments.base import (
    BadSignature,
    CreatePayment,
    Malformed,
    Provider,
    RequestRefused,
    Snapshot,
)
from tests.orders.deliveries import post
from tests.orders.payments.conformance import ProviderConformance
from tests.orders.payments.foreign import Far
from tests.orders.payments.foreign_dialect import sealed, signature
from tests.orders.payments.receiver import Receiver
from tests.orders.payments.worlds import TIMEOUT, asked, refund_of
from tests.sandbox import SECRET, SandboxProcess
from tests.sandbox import sandbox as running_sandbox
from tests.waiting import eventually

DIALECT = "tests.orders.payments.foreign_dialect:Far"


class FarWorld:
    other_secret = "another-one"

    def __init__(self, sandbox: SandboxProcess, callbacks: Receiver) -> None:
        self.sandbox, self.received = sandbox, callbacks
        self.callback_url, self.secret = callbacks.url, sandbox.secret
        self._made: list[Far] = []

    def provider(self, *, url: str | None = None, secrets: Sequence[str] | None = None) -> Provider:
        made = Far(url or self.sandbox.url, self.sandbox.key, secrets or [self.secret], TIMEOUT)
        self._made.append(made)
        return made

    def act(self, payment: Snapshot, action: str, amount: int | None = None) -> None:
        self.sandbox.act(payment.provider_ref, action, amount)

    def fault(self, kind: str, *calls: str, **options: Any) -> None:
        self.sandbox.set_faults({"fault": kind, "calls": calls, **options})

    def callbacks(self, least: int = 1) -> Sequence[tuple[Mapping[str, str], bytes]]:
        return [(came.headers, came.body) for came in self.received.wait_for(least)]

    def confirmed(self, request: CreatePayment) -> CreatePayment:
        return replace(request, confirm=True)

    def declined(self, request: CreatePayment) -> CreatePayment:
        return replace(request, confirm=True, metadata={"sandbox": {"outcome": "declined"}})

    def close(self) -> None:
        for made in self._made:
            made.close()


@pytest.fixture(scope="module")
def far_process() -> Iterator[SandboxProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAR_SECRET", SECRET)
        with running_sandbox(time_scale=0.05, dialect=DIALECT) as running:
            yield running


@pytest.fixture
def world(far_process: SandboxProcess, callbacks: Receiver) -> Iterator[FarWorld]:
    callbacks.says = b"success"
    far_process.set_faults()
    made = FarWorld(far_process, callbacks)
    yield made
    made.close()
    far_process.set_faults()


class TestFar(ProviderConformance):
    """It passes the suite."""


@pytest.fixture
def far(world: FarWorld) -> Provider:
    return world.provider()


def states(world: FarWorld, payment: Snapshot) -> list[str]:
    return [delivery["state"] for delivery in world.sandbox.deliveries(payment.provider_ref)]


@pytest.mark.parametrize("said", [b"", b"ok", b"success\n", b"SUCCESS"])
def test_a_callback_is_taken_only_with_the_exact_word(
    world: FarWorld, far: Provider, said: bytes
) -> None:
    world.received.says = said
    payment = far.create(asked(world))
    world.act(payment, "pay")

    world.received.wait_for(2)
    world.received.says = b"success"

    eventually(lambda: states(world, payment) == ["delivered"])


@pytest.mark.parametrize(("status", "is_taken"), [(200, True), (202, True), (201, False)])
def test_the_right_word_with_the_wrong_status_is_not_taken(
    world: FarWorld, far: Provider, status: int, is_taken: bool
) -> None:
    world.received.answer = lambda _came: status
    payment = far.create(asked(world))

    world.act(payment, "pay")

    world.received.wait_for(1 if is_taken else 2)
    eventually(lambda: states(world, payment) == ["delivered" if is_taken else "pending"])
    world.received.answer = lambda _came: 200


def test_a_status_beats_a_body_that_says_success(world: FarWorld, far: Provider) -> None:
    payment = far.create(asked(world))

    with pytest.raises(RequestRefused) as refused:
        far.refund(refund_of(payment, 1))

    assert refused.value.code == "not_possible"


def test_a_batch_gives_each_of_its_items(world: FarWorld, far: Provider) -> None:
    payment = far.create(asked(world))
    world.act(payment, "pay")
    world.act(payment, "refund", 200)

    headers, body = world.callbacks(2)[1]
    events = far.parse_callback(headers, body, datetime.now(UTC))

    assert [event.kind for event in events] == ["refund.succeeded", "account.changed"]
    assert len({event.event_id for event in events}) == 2


def test_nobody_reads_a_callback_on_the_way(world: FarWorld, far: Provider) -> None:
    payment = far.create(asked(world))
    world.act(payment, "pay")

    ((_, body),) = world.callbacks()

    assert payment.merchant_ref.encode() not in body


def test_an_item_that_is_not_signed_itself_is_refused_in_a_body_that_is(
    world: FarWorld, far: Provider
) -> None:
    for secret, error in ((world.other_secret, BadSignature), (world.secret, Malformed)):
        item = sealed("evt-1", "payment.captured", {}, secret)
        body = json.dumps({"sent_at": "2026-03-01T12:00:00Z", "items": [item]}).encode()
        stamp = int(datetime.now(UTC).timestamp())
        headers = {
            "far-timestamp": str(stamp),
            "far-nonce": "n",
            "far-signature": signature(stamp, "n", body, world.secret),
        }

        with pytest.raises(error):
            far.parse_callback(headers, body, datetime.now(UTC))


@pytest.fixture
def registered(
    world: FarWorld, settings: Settings, monkeypatch: pytest.MonkeyPatch, database: None
) -> Iterator[FarWorld]:
    """All that our side is told: one line of the registry, and the account in the settings."""
    monkeypatch.setitem(registry.FACTORIES, "far", "tests.orders.payments.foreign.Far")
    account: dict[str, Any] = {
        "url": world.sandbox.url,
        "key": world.sandbox.key,
        "secrets": [world.secret],
        "timeout": 2.0,
    }
    settings.ORDERCAST_PROVIDERS = {"far": account}
    settings.ORDERCAST_DEFAULT_PROVIDER = "far"
    registry.cache_clear()
    yield world
    cast("Far", registry.get("far")).close()
    registry.cache_clear()


def test_an_order_is_paid_and_refunded_by_it_with_one_line_in_the_registry(
    registered: FarWorld, settings: Settings
) -> None:
    # As our own address is nowhere near, the receiver stands in for it, and hands on what comes.
    settings.ORDERCAST_PUBLIC_URL = registered.callback_url.removesuffix("/callbacks/")
    cause = Cause(Source.API, "shop")
    order, _ = lifecycle.create_order(total=1250, currency="EUR", cause=cause)
    payment = provider_calls.start_payment(order.ref, mode="callback", cause=cause)
    for action in ("pay", "refund"):
        registered.sandbox.act(payment.ref, action)

    for headers, body in registered.callbacks(2):
        answer = post(body, dict(headers), "far")
        assert (answer.status_code, answer.content) == (202, b"success")

    assert Order.objects.get(ref=order.ref).state == "refunded"
    assert CallbackReceipt.objects.count() == 3
