"""Asking a real provider again: what was lost is healed, and what makes no sense calls a person."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from orders.commands import provider_calls, refunds
from orders.commands.refresh import Refreshed, refresh_order, refresh_payment
from orders.domain.errors import OrderNotFound
from orders.models import Order, OrderEvent, Payment, PaymentCheck, Refund
from orders.schedule import checks
from orders.schedule.profiles import PROFILES, Profile
from tests.builders import API, RECONCILER, STAFF, an_order, at_once, journal_of, tell, types_of
from tests.orders.conftest import take_away
from tests.sandbox import SandboxProcess
from tests.waiting import eventually


@pytest.fixture
def order(provider: SandboxProcess) -> Order:
    """An order whose payment waits at the provider."""
    order = an_order()
    provider_calls.start_payment(order.ref, mode="callback", cause=API)
    return order


@pytest.fixture
def payment(order: Order) -> Payment:
    return Payment.objects.get(order=order)


def refresh(payment: Payment, claim: checks.Claim | None = None) -> str:
    found = refresh_payment(payment.pk, cause=RECONCILER, claim=claim).found
    payment.refresh_from_db()
    return found


def claim(payment: Payment) -> checks.Claim:
    Payment.objects.filter(pk=payment.pk).update(next_check_at=timezone.now())
    (claimed,) = checks.claim_due(timezone.now(), 1)
    return claimed


def flags_of(payment: Payment) -> list[str]:
    return list(Order.objects.get(pk=payment.order_id).flags)


def test_a_lost_callback_is_healed(
    provider: SandboxProcess, order: Order, payment: Payment
) -> None:
    provider.act(payment.ref, "pay")

    results = refresh_order(order.ref, cause=STAFF)

    row = OrderEvent.objects.filter(order=order).latest("version")
    assert results == [
        Refreshed(payment=payment.ref, found="applied", detail="payment.captured", state="paid")
    ]
    assert (row.type, row.source, row.actor) == ("payment.captured", "staff", "rosa")
    assert PaymentCheck.objects.values("found", "detail", "source", "actor").get() == {
        "found": "applied", "detail": "payment.captured · asked by the customer", "source": "staff", "actor": "rosa",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("acts", "state"),
    [
        (["pay", "refund"], "refunded"),
        (["pay", "dispute"], "disputed"),
        (["pay", "dispute", "win_dispute"], "paid"),
        (["pay", "dispute", "lose_dispute"], "charged_back"),
        (["decline"], "failed"),
        (["expire"], "failed"),
        (["decline", "pay"], "paid"),
    ],
)
def test_all_that_was_missed_is_made_up_at_once(
    provider: SandboxProcess, payment: Payment, acts: list[str], state: str
) -> None:
    for act in acts:
        provider.act(payment.ref, act)

    found = refresh(payment)

    assert (found, Order.objects.get().state, flags_of(payment)) == ("applied", state, [])


def test_a_failed_refund_is_found_out(provider: SandboxProcess, payment: Payment) -> None:
    provider.act(payment.ref, "pay")
    refresh(payment)
    refunds.request_refund(payment.order.ref, amount=300, reason="", cause=API)
    assert Order.objects.get().state == "partially_refunded"
    provider.act(payment.ref, "fail_refund")

    found = refresh(payment)

    order = Order.objects.get()
    assert (found, order.state, order.refunded) == ("applied", "paid", 0)
    assert Refund.objects.get().status == "failed"
    assert types_of(order)[-2:] == ["refund.failed", "refund.changed"]


def test_a_refund_on_its_way_is_looked_after_until_it_has_gone(
    provider: SandboxProcess, payment: Payment
) -> None:
    provider.act(payment.ref, "pay")
    refresh(payment)
    provider.set_faults({"fault": "refund_pending", "seconds": 0.1})

    refunds.request_refund(payment.order.ref, amount=None, reason="", cause=API)
    payment.refresh_from_db()
    assert (payment.profile, payment.next_check_at is None) == ("refund", False)
    eventually(lambda: refresh(payment) == "applied")

    assert Order.objects.get().state == "refunded"
    assert (Refund.objects.get().status, payment.next_check_at) == ("succeeded", None)


def test_nothing_new_is_no_event(payment: Payment) -> None:
    before = journal_of(payment.order)

    assert [refresh(payment), refresh(payment)] == ["nothing_new", "nothing_new"]

    assert journal_of(payment.order) == before
    assert PaymentCheck.objects.count() == 2


def test_an_order_that_is_not_there_is_not_found(provider: SandboxProcess) -> None:
    with pytest.raises(OrderNotFound):
        refresh_order("f" * 32, cause=STAFF)


def test_an_answer_that_is_still_illegal_is_a_conflict_flagged_once(payment: Payment) -> None:
    tell(payment, "captured")  # we were told so; the provider itself knows nothing of it

    assert [refresh(payment), refresh(payment)] == ["conflict", "conflict"]

    order = Order.objects.get()
    assert (order.state, order.flags) == ("paid", ["conflict"])
    assert types_of(order)[-2:] == ["order.conflict", "order.flagged"]


def test_an_order_that_moves_while_its_provider_is_asked_is_no_conflict(
    provider: SandboxProcess, payment: Payment
) -> None:
    provider.set_faults({"fault": "answer_slow", "seconds": 1, "calls": ["fetch"]})
    before = provider.control("GET", "calls").get("fetch", 0)

    def callback_meanwhile() -> str:
        eventually(lambda: provider.control("GET", "calls").get("fetch", 0) > before)
        return tell(payment, "captured")

    results = at_once(lambda: refresh(payment), callback_meanwhile)

    payment.refresh_from_db()
    assert results == ["asking", "applied"]
    assert (Order.objects.get().state, flags_of(payment)) == ("paid", [])
    assert payment.next_check_at is not None
    assert payment.next_check_at <= timezone.now()


@pytest.mark.parametrize(
    ("fault", "found"), [("answer_429", "rate_limited"), ("answer_503", "unavailable")]
)
def test_a_provider_that_asks_for_patience_is_asked_later_and_loses_no_attempt(
    provider: SandboxProcess, payment: Payment, fault: str, found: str
) -> None:
    provider.set_faults({"fault": fault, "seconds": 100})

    assert refresh(payment, claim(payment)) == found

    assert payment.step == 0
    assert payment.next_check_at is not None
    assert 90 < (payment.next_check_at - timezone.now()).total_seconds() < 121


def test_an_outage_is_logged_and_leaves_the_order_as_it_is(
    payment: Payment, settings: Settings
) -> None:
    before = journal_of(payment.order)
    take_away(settings)

    assert refresh(payment, claim(payment)) == "unavailable"

    assert journal_of(payment.order) == before
    assert PaymentCheck.objects.get().found == "unavailable"


def test_a_payment_that_the_provider_no_longer_knows_is_not_failed(payment: Payment) -> None:
    Payment.objects.update(provider_ref="pay_forgotten")

    assert refresh(payment, claim(payment)) == "not_found"

    assert (payment.status, payment.step) == ("pending", 1)


def test_at_the_end_of_its_profile_a_person_is_called(payment: Payment) -> None:
    Payment.objects.update(step=len(PROFILES[Profile.WAITING]) - 1)

    refresh(payment, claim(payment))

    assert (flags_of(payment), payment.next_check_at) == (["checks_exhausted"], None)
    assert payment.status == "pending"


def overdue() -> None:
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def test_past_its_deadline_a_payment_is_called_off_and_the_order_expires(
    payment: Payment,
) -> None:
    overdue()

    refresh(payment)

    assert (Order.objects.get().state, payment.status) == ("expired", "cancelled")


def test_past_its_deadline_an_order_that_was_paid_unheard_is_paid(
    provider: SandboxProcess, payment: Payment
) -> None:
    provider.act(payment.ref, "pay")
    overdue()

    refresh(payment)

    assert Order.objects.get().state == "paid"


def test_past_its_deadline_a_payment_under_way_is_waited_for(
    provider: SandboxProcess, payment: Payment
) -> None:
    provider.act(payment.ref, "process")
    overdue()

    refresh(payment)

    assert (Order.objects.get().state, payment.status) == ("processing", "processing")


def test_past_its_deadline_a_provider_that_is_away_keeps_the_order_open(
    payment: Payment, settings: Settings
) -> None:
    overdue()
    take_away(settings)

    refresh(payment)

    assert Order.objects.get().state == "awaiting_payment"


def test_a_payment_that_never_arrived_is_not_sent_after_the_deadline(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    provider.set_faults({"fault": "answer_500", "calls": ["create"]})
    payment = provider_calls.start_payment(order.ref, mode="callback", cause=API)
    overdue()

    refresh(payment)

    order.refresh_from_db()
    assert (payment.status, payment.failure_code, order.state) == (
        "failed", "never_sent", "expired",
    )  # fmt: skip
