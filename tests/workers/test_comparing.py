"""The provider's own list beside ours: what differs is asked about, what nobody knows is kept for a person."""

from dataclasses import replace

import pytest
from django.core.management import call_command

from orders.models import CallbackReceipt, Order, Payment
from orders.payments import base
from orders.payments.base import (
    DisputeStatus,
    PaymentStatus,
    RefundSnapshot,
    RefundStatus,
    Snapshot,
)
from orders.schedule.provider_lists import Finding, RecordedPayment, judge
from tests.sandbox import SandboxProcess
from tests.workers.conftest import begun, make_due
from workers import comparing, reconciler

REF = "0f9d1c36a6b94a5b8f5f6d1c2e3b4a59"
KEPT = RecordedPayment(
    provider_ref="pay_1", status="captured", captured=1_000, refunded=0, dispute=""
)
TOLD = Snapshot(
    merchant_ref=REF,
    provider_ref="pay_1",
    status=PaymentStatus.CAPTURED,
    amount=1_000,
    currency="EUR",
    captured=1_000,
)
BACK = RefundSnapshot(ref=None, provider_ref="r", amount=300, status=RefundStatus.SUCCEEDED)
ON_ITS_WAY = replace(BACK, status=RefundStatus.PENDING)


@pytest.mark.parametrize(
    ("kept", "told", "finding"),
    [
        (KEPT, TOLD, Finding.AGREES),
        (KEPT, replace(TOLD, refunds=(ON_ITS_WAY,)), Finding.AGREES),
        (KEPT, replace(TOLD, refunds=(BACK,)), Finding.DIFFERS),
        (KEPT, replace(TOLD, dispute=DisputeStatus.OPEN), Finding.DIFFERS),
        (KEPT, replace(TOLD, captured=900), Finding.DIFFERS),
        (KEPT, replace(TOLD, provider_ref="pay_2"), Finding.DIFFERS),
        (replace(KEPT, status="failed", captured=0), TOLD, Finding.DIFFERS),
        (replace(KEPT, status="intended", captured=0, provider_ref=""), TOLD, Finding.DIFFERS),
        (None, TOLD, Finding.UNKNOWN),
        (None, replace(TOLD, merchant_ref="invoice-17"), Finding.FOREIGN),
        (None, replace(TOLD, merchant_ref=""), Finding.FOREIGN),
    ],
)
def test_what_a_listed_payment_is_to_us(
    kept: RecordedPayment | None, told: Snapshot, finding: str
) -> None:
    assert judge(kept, told) == finding


def test_a_dispute_whose_callback_was_lost_is_found_by_night(provider: SandboxProcess) -> None:
    orders = [begun() for _ in range(3)]
    for _, payment in orders:
        provider.act(payment.provider_ref, "pay")
        make_due(payment)
    reconciler.tick()
    provider.act(orders[1][1].provider_ref, "dispute")
    assert reconciler.tick().checked == 0  # no timetable looks for it any more

    found = comparing.compare().found
    reconciler.tick()

    states = Order.objects.order_by("pk").values_list("state", flat=True)
    assert found[Finding.DIFFERS] == 1
    assert list(states) == ["paid", "disputed", "paid"]


def test_a_payment_that_nobody_here_knows_is_kept_for_a_person_once(
    provider: SandboxProcess,
) -> None:
    stray = provider.control(
        "POST", "/v1/payments", {"merchant_ref": "e" * 32, "amount": 7, "currency": "EUR"}
    )

    for _ in range(2):
        comparing.compare()

    receipt = CallbackReceipt.objects.get(event_id=f"listed:{stray['provider_ref']}")
    assert (receipt.merchant_ref, receipt.needs_review) == ("e" * 32, True)


def test_a_long_list_is_read_page_by_page(
    provider: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orders.payments.house.PAGE", 2)
    mine = [begun()[1] for _ in range(5)]

    comparing.compare()
    before = comparing.compare().found[Finding.AGREES]
    Payment.objects.filter(pk__in=[p.pk for p in mine]).update(status="captured")

    assert before >= 5
    assert comparing.compare().found[Finding.DIFFERS] == 5


def test_a_list_that_cannot_be_read_is_left_for_the_next_night(
    provider: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise base.Unavailable("away")

    monkeypatch.setattr("orders.payments.house.House.list_payments", away)

    assert comparing.compare().broken_off == ("house",)


def test_the_command_prints_what_it_found(
    provider: SandboxProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "pay")

    call_command("reconcile", "--order", order.ref)
    asked = capsys.readouterr().out
    call_command("reconcile", "--once")
    ticked = capsys.readouterr().out
    call_command("reconcile", "--list")
    listed = capsys.readouterr().out

    assert payment.ref in asked
    assert "applied" in asked
    assert ticked.startswith("0 payments checked")
    assert "agrees" in listed
