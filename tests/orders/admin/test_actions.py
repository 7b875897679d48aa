"""What staff can do in the admin besides asking a provider: flag, clear, accept, and let a callback in again."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders.callbacks import quarantine
from orders.domain.outcomes import Outcome
from orders.models import AuditEntry, CallbackReceipt, Order, OrderEvent, Payment
from orders.support import labels
from tests.builders import a_payment, an_order, an_order_that_is, journal_of, move, tell, types_of
from tests.orders.deliveries import deliver, message
from tests.orders.staff import (
    LIST,
    RECEIPTS,
    begun,
    flagged,
    logged_in,
    refreshed,
    run,
    seen,
    staff_with,
)
from tests.sandbox import SandboxProcess
from tests.workers.conftest import provider, provider_process

__all__ = ["provider", "provider_process"]

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def staff(database: None) -> Client:
    """Rosa, who may do everything."""
    return logged_in(User.objects.create_superuser("rosa"))


def replayed(client: Client, *receipts: CallbackReceipt) -> str:
    form = {"confirm": "1", "reason": "mended"}
    return seen(run(client, "replay", *receipts, listing=RECEIPTS, **form))


def test_who_may_only_look_has_no_action_at_all() -> None:
    an_order()

    html = staff_with("view_order").get(LIST).content.decode()

    assert 'name="action"' not in html


def test_clearing_a_review_keeps_who_and_why(staff: Client) -> None:
    order = flagged(an_order_that_is("awaiting_payment"))

    html = seen(run(staff, "clear_review", order, confirm="1", reason="a typo of theirs"))

    event = OrderEvent.objects.latest("pk")
    assert (event.type, event.actor) == ("order.review_cleared", "rosa")
    assert event.data == {"cleared": ["mismatch"], "reason": "a typo of theirs"}
    assert "Flags cleared" in html


def test_a_late_payment_is_accepted_with_a_reason(staff: Client) -> None:
    order = an_order_that_is("expired")
    payment = a_payment(order, "pending")
    tell(payment, "captured")

    run(staff, "accept_late_payment", order, confirm="1", reason="the shop still has it")

    order.refresh_from_db()
    event = OrderEvent.objects.get(type="order.late_payment_accepted")
    assert (order.state, order.flags) == ("paid", [])
    assert event.data["reason"] == "the shop still has it"


def test_a_late_payment_is_sent_back_with_a_reason(staff: Client, provider: SandboxProcess) -> None:
    order = an_order()
    payment = begun(order)
    Order.objects.filter(pk=order.pk).update(expires_at="2020-01-01T00:00:00Z")
    move(order.ref, "expire")
    provider.act(payment.provider_ref, "pay")
    refreshed(staff, order)

    html = seen(run(staff, "return_late_payment", order, confirm="1", reason="it is sold out"))
    refreshed(staff, order)

    order.refresh_from_db()
    assert "Refund requested" in html
    assert (order.state, order.captured, order.refunded) == ("expired", 1_000, 1_000)
    assert "late_payment" not in order.flags


def test_what_an_order_does_not_allow_is_refused_with_what_would_be_legal(staff: Client) -> None:
    order = an_order_that_is("refunded")

    html = seen(run(staff, "accept_late_payment", order, confirm="1", reason="why not"))

    assert "Not done" in html
    assert "refund_changed" in html
    assert types_of(order)[-1] == "refund.changed"


def test_a_flag_is_put_on_with_a_reason_and_stands_until_it_is_cleared(staff: Client) -> None:
    order = an_order_that_is("paid")

    html = seen(run(staff, "flag", order, confirm="1", reason="she called twice"))
    again = seen(run(staff, "flag", order, confirm="1", reason="and again"))

    order.refresh_from_db()
    event = OrderEvent.objects.latest("pk")
    assert (order.state, order.needs_review, order.flags) == ("paid", True, ["staff"])
    assert (event.type, event.actor, event.data["detail"]) == (
        "order.flagged", "rosa", "she called twice",
    )  # fmt: skip
    assert "Flagged · she called twice" in html
    assert "Not done" in again
    assert "Flagged by staff – she called twice." in seen(
        staff.get(f"{LIST}{order.pk}/change/").content.decode()
    )


def test_a_replay_lets_in_what_matched_nothing_when_it_came(staff: Client) -> None:
    order = an_order_that_is("awaiting_payment")
    payment = a_payment(order, "pending", profile="waiting")
    ref = payment.ref
    Payment.objects.filter(pk=payment.pk).update(ref="0" * 32, provider_ref="pay_other")
    deliver(payment, "captured")
    Payment.objects.filter(pk=payment.pk).update(ref=ref, provider_ref=payment.provider_ref)
    receipt = CallbackReceipt.objects.get()
    assert receipt.outcome == "unmatched"

    html = replayed(staff, receipt)

    receipt.refresh_from_db()
    event = OrderEvent.objects.latest("pk")
    assert "Applied" in html
    assert (event.type, event.source, event.actor) == ("payment.captured", "staff", "rosa")
    assert (receipt.outcome, receipt.payment, receipt.next_try_at) == ("applied", payment, None)
    audit = AuditEntry.objects.get()
    assert (audit.action, audit.actor, audit.reason) == ("admin_replay", "rosa", "mended")


def test_a_replay_of_what_was_applied_changes_nothing(staff: Client) -> None:
    order = an_order_that_is("awaiting_payment")
    payment = a_payment(order, "pending", profile="waiting")
    deliver(payment, "captured")
    before = journal_of(order)

    html = replayed(staff, CallbackReceipt.objects.get())

    assert "No change" in html
    assert journal_of(order) == before
    assert CallbackReceipt.objects.get().outcome == "applied"


def test_a_replay_of_old_news_asks_the_provider_and_lowers_nothing(staff: Client) -> None:
    order = an_order_that_is("awaiting_payment")
    payment = a_payment(order, "pending", profile="waiting")
    deliver(payment, "processing", "evt_old")
    deliver(payment, "captured", "evt_new")
    before = journal_of(order)

    html = replayed(staff, CallbackReceipt.objects.get(event_id="evt_old"))

    payment.refresh_from_db()
    assert "Out of sequence; checking again" in html
    assert payment.next_check_at is not None
    assert journal_of(order) == before


def test_a_replay_that_still_matches_nothing_says_so(staff: Client) -> None:
    payment = a_payment(an_order(), "pending", profile="waiting")
    payment.ref, payment.provider_ref = "f" * 32, "pay_nobody"
    deliver(payment, "captured")

    html = replayed(staff, CallbackReceipt.objects.get())

    assert "Still matches no payment" in html
    assert CallbackReceipt.objects.get().outcome == "unmatched"


def test_a_receipt_that_cannot_be_read_any_more_leads_to_a_question(staff: Client) -> None:
    payment = a_payment(an_order_that_is("awaiting_payment"), "pending", profile="waiting")
    receipt = CallbackReceipt.objects.create(
        provider="house", event_id="e", payment=payment, body="[redacted]", outcome="asking"
    )

    html = replayed(staff, receipt)

    payment.refresh_from_db()
    assert "Out of sequence" in html
    assert payment.next_check_at is not None


def test_who_may_only_look_replays_nothing() -> None:
    receipt = CallbackReceipt.objects.create(
        provider="house", event_id="e", body="{}", outcome="unmatched"
    )
    clerk = staff_with("view_callbackreceipt", "refresh_order")

    replayed(clerk, receipt)

    assert not AuditEntry.objects.exists()


def malformed() -> CallbackReceipt:
    """Rightly signed, and read by nobody then."""
    quarantine.keep("house", "no such status: 'new'", body=b'{"a": "\xff"}', headers={})
    return CallbackReceipt.objects.get()


def test_a_callback_that_was_looked_at_is_dismissed_with_a_reason(staff: Client) -> None:
    receipt = malformed()

    html = seen(run(staff, "dismiss", receipt, listing=RECEIPTS, confirm="1", reason="their typo"))

    receipt.refresh_from_db()
    assert "Dismissed" in html
    assert not receipt.needs_review
    assert receipt.detail == "no such status: 'new'; dismissed by rosa: their typo"
    entry = AuditEntry.objects.get(action="admin_dismiss")
    assert (entry.actor, entry.reason) == ("rosa", "their typo")


def test_what_needs_no_review_is_not_dismissed(staff: Client) -> None:
    receipt = malformed()
    CallbackReceipt.objects.update(needs_review=False)

    html = seen(run(staff, "dismiss", receipt, listing=RECEIPTS, confirm="1", reason="again"))

    assert "does not need review" in html


def test_the_body_of_a_callback_is_downloaded_by_those_who_may_see_it(staff: Client) -> None:
    receipt = malformed()
    address = f"{RECEIPTS}{receipt.pk}/body/"

    answer = staff.get(address)

    assert answer.content.decode() == receipt.body
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment; ")
    assert staff_with("view_order").get(address).status_code == 403
    assert address in staff.get(f"{RECEIPTS}{receipt.pk}/change/").content.decode()


def test_one_that_could_not_be_read_is_replayed_once_it_can_be(staff: Client) -> None:
    """As after a deploy: kept as malformed by a version that did not know it."""
    payment = a_payment(an_order(), "pending", provider_ref="pay_later")
    body = message(payment, "captured")
    quarantine.keep("house", "unknown to the version before", body=body, headers={})
    receipt = CallbackReceipt.objects.get()

    html = replayed(staff, receipt)

    receipt.refresh_from_db()
    payment.order.refresh_from_db()
    assert f"Invalid data → {labels.of(Outcome.APPLIED)}" in html
    assert (receipt.outcome, receipt.needs_review, payment.order.state) == (
        "applied",
        False,
        "paid",
    )
