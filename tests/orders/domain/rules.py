"""The callback rules as a table: what we hold, what the provider says, and what is to be done about it.

Each row is written from the design: the verdict, and the steps as `move:event` or `event` (no move).
"""

from typing import Any

from orders.domain.current_payment import CurrentPayment
from orders.domain.states import State
from orders.payments.base import (
    DisputeStatus,
    PaymentStatus,
    RefundSnapshot,
    RefundStatus,
    Snapshot,
)

APPLY, NOTHING_NEW, STEP_BACK, MISMATCH = "apply", "nothing_new", "step_back", "mismatch"


def held(status: str = "pending", order: str = "awaiting_payment", **values: Any) -> CurrentPayment:
    """A payment of 1000 EUR; `captured` and `refunded` are also the order's, if that says nothing else."""
    captured, refunded = values.pop("captured", 0), values.pop("refunded", 0)
    defaults: dict[str, Any] = {
        "payment": "p1",
        "provider": "house",
        "provider_ref": "" if status == "intended" else "pay_1",
        "amount": 1_000,
        "currency": "EUR",
        "refunds": {},
        "dispute": "",
        "order_total": 1_000,
        "order_captured": captured,
        "order_refunded": refunded,
        "has_other_live": False,
        "is_cancelling": False,
    }
    fields = defaults | {"captured": captured, "refunded": refunded} | values
    return CurrentPayment(status=status, order_state=State(order), **fields)


def paid(order: str = "paid", **values: Any) -> CurrentPayment:
    return held("captured", order, captured=1_000, **values)


def told(status: str, **values: Any) -> Snapshot:
    defaults: dict[str, Any] = {
        "merchant_ref": "p1",
        "provider_ref": "pay_1",
        "amount": 1_000,
        "currency": "EUR",
        "captured": 1_000 if status == "captured" else 0,
    }
    return Snapshot(status=PaymentStatus(status), **(defaults | values))


def refund(amount: int, status: str = "succeeded", ref: str | None = "r1") -> RefundSnapshot:
    return RefundSnapshot(
        ref=ref, provider_ref=f"ref_{ref}", amount=amount, status=RefundStatus(status)
    )


def disputed(status: str, amount: int = 1_000, **values: Any) -> Snapshot:
    return told("captured", dispute=DisputeStatus(status), disputed=amount, **values)


STARTED, PROCESSING, AUTHORISED = "payment.started", "payment.processing", "payment.authorised"
CAPTURED, FAILED, REFUNDED = "payment.captured", "payment.failed", "refund.changed"
PAY, FAIL, START = f"pay:{CAPTURED}", f"fail:{FAILED}", f"start:{STARTED}"
CANCEL, BACK = "cancel:order.cancelled", f"refund_changed:{REFUNDED}"
OPEN, WIN, LOSE = (
    "open_dispute:dispute.opened",
    "win_dispute:dispute.won",
    "lose_dispute:dispute.lost",
)
LATE = ["payment.captured_late", "flag late_payment"]

ROWS: dict[str, tuple[CurrentPayment, Snapshot, str, list[str]]] = {
    # the ordinary way
    "the create answer": (held("intended", "created"), told("pending"), APPLY, [START]),
    "a second try after a failure": (held("intended", "failed"), told("pending"), APPLY, [START]),
    "a second attempt beside a live one": (
        held("intended", "processing"), told("pending"), APPLY, [STARTED]),
    "under way": (held(), told("processing"), APPLY, [f"process:{PROCESSING}"]),
    "authorised": (held(), told("authorised", authorised=1_000), APPLY, [f"authorise:{AUTHORISED}"]),
    "authorised after processing": (
        held("processing", "processing"), told("authorised"), APPLY, [f"authorise:{AUTHORISED}"]),
    "paid": (held(), told("captured"), APPLY, [PAY]),
    "paid after authorisation": (held("authorised", "authorised"), told("captured"), APPLY, [PAY]),
    "declined": (held(), told("failed", failure_code="card_declined"), APPLY, [FAIL]),
    "expired there": (held(), told("expired"), APPLY, [FAIL]),
    # a callback overtakes the answer to the create call
    "paid before the create answer": (
        held("intended", "created"), told("captured"), APPLY, [START, PAY]),
    "declined before the create answer": (
        held("intended", "created"), told("failed"), APPLY, [START, FAIL]),
    "under way before the create answer": (
        held("intended", "created"), told("processing"), APPLY, [START, f"process:{PROCESSING}"]),
    "the create answer after the payment": (paid(), told("pending"), STEP_BACK, []),
    # (4) the same state again
    "pending again": (held(), told("pending"), NOTHING_NEW, []),
    "paid again": (paid(), told("captured"), NOTHING_NEW, []),
    "failed again": (held("failed", "failed"), told("failed"), NOTHING_NEW, []),
    "refunded again": (
        paid("refunded", refunded=1_000, refunds={"r1": "succeeded"}),
        told("captured", refunds=(refund(1_000),)), NOTHING_NEW, []),
    "disputed again": (paid("disputed", dispute="open"), disputed("open"), NOTHING_NEW, []),
    # (5) a step back, or out of order
    "pending after processing": (held("processing", "processing"), told("pending"), STEP_BACK, []),
    "processing after paid": (paid(), told("processing"), STEP_BACK, []),
    "processing after failed": (held("failed", "failed"), told("processing"), STEP_BACK, []),
    "failed after paid": (paid(), told("failed"), STEP_BACK, []),
    "less captured than before": (paid(), told("captured", captured=400), STEP_BACK, []),
    "cancelled after failed": (held("failed", "failed"), told("cancelled"), APPLY, []),
    "failed after cancelled": (held("cancelled", "failed"), told("failed"), STEP_BACK, []),
    # a late success of an earlier attempt
    "failed, then paid after all": (held("failed", "failed"), told("captured"), APPLY, [PAY]),
    "failed, then paid while another waits": (
        held("failed", "awaiting_payment", has_other_live=True), told("captured"), APPLY, [PAY]),
    # two attempts
    "both succeed": (
        held("pending", "paid", order_captured=1_000), told("captured"), APPLY,
        [CAPTURED, "flag overpaid"]),
    "both succeed, one refunded": (
        held("pending", "refunded", order_captured=1_000, order_refunded=1_000), told("captured"),
        APPLY, [CAPTURED, f"refund_changed:{REFUNDED}", "flag overpaid"]),
    "one fails while another is live": (
        held(has_other_live=True), told("failed"), APPLY, [FAILED]),
    "one fails after another paid": (
        held("pending", "paid", order_captured=1_000), told("failed"), APPLY, [FAILED]),
    "one is under way while another is authorised": (
        held("pending", "authorised"), told("processing"), APPLY, [PROCESSING]),
    # parts
    "a part of the total": (
        held(), told("captured", captured=400), APPLY, [CAPTURED, "flag underpaid"]),
    "a part, and another is live": (
        held(has_other_live=True), told("captured", captured=400), APPLY, [CAPTURED]),
    "the rest by another attempt": (
        held(amount=600, order_captured=400), told("captured", amount=600, captured=600), APPLY, [PAY]),
    "a part of what stays authorised": (
        held("authorised", "authorised"), told("authorised", captured=400), APPLY, [CAPTURED]),
    "the rest of what was authorised": (
        held("authorised", "authorised", captured=400), told("captured"), APPLY, [PAY]),
    "the authorisation ends with a part taken": (
        held("authorised", "authorised", captured=400), told("captured", captured=400), APPLY,
        ["flag underpaid"]),
    "the last attempt fails after another took a part": (
        held(order_captured=400), told("failed"), APPLY, [FAIL, "flag underpaid"]),
    # money for a closed order
    "paid after cancelling": (held("pending", "cancelled"), told("captured"), APPLY, LATE),
    "paid after expiring": (held("expired", "expired"), told("captured"), APPLY, LATE),
    "paid, never heard of, after cancelling": (
        held("intended", "cancelled"), told("captured"), APPLY, LATE),
    "authorised after cancelling": (held("pending", "cancelled"), told("authorised"), APPLY, [AUTHORISED]),
    "failed after expiring": (held("pending", "expired"), told("failed"), APPLY, [FAILED]),
    "late money is sent back": (
        held("captured", "expired", captured=1_000, order_flags=["late_payment"]),
        told("captured", refunds=(refund(1_000),)), APPLY, ["refund.changed", "order.review_cleared"]),
    "a part of late money is sent back": (
        held("captured", "expired", captured=1_000, order_flags=["late_payment"]),
        told("captured", refunds=(refund(400),)), APPLY, ["refund.changed"]),
    "late money comes and goes back at once": (
        held("pending", "cancelled"), told("captured", refunds=(refund(1_000),)), APPLY,
        [*LATE, "refund.changed", "order.review_cleared"]),
    "late money goes back, and nobody was to look": (
        held("captured", "expired", captured=1_000), told("captured", refunds=(refund(1_000),)),
        APPLY, ["refund.changed"]),
    "late money that went back is here again": (
        held("captured", "expired", captured=1_000, refunded=1_000, refunds={"r1": "succeeded"}),
        told("captured", refunds=(refund(1_000, "failed"),)), APPLY,
        ["refund.failed", "refund.changed", "flag late_payment"]),
    # (6) never a transition
    "too much": (held(), told("captured", amount=1_001, captured=1_001), MISMATCH, []),
    "too little": (held(), told("captured", amount=999, captured=999), MISMATCH, []),
    "more taken than asked for": (held(), told("captured", captured=1_001), MISMATCH, []),
    "another currency": (held(), told("captured", currency="USD"), MISMATCH, []),
    "another reference": (held(), told("captured", merchant_ref="p2"), MISMATCH, []),
    "another reference of theirs": (held(), told("captured", provider_ref="pay_2"), MISMATCH, []),
    "a wrong amount that is also old": (paid(), told("pending", amount=1), MISMATCH, []),
    "the currency in small letters": (held(), told("captured", currency="eur"), APPLY, [PAY]),
    # refunds
    "a part goes back": (paid(), told("captured", refunds=(refund(300),)), APPLY, [BACK]),
    "all goes back": (paid(), told("captured", refunds=(refund(1_000),)), APPLY, [BACK]),
    "paid and refunded, both unheard": (
        held(), told("captured", refunds=(refund(1_000),)), APPLY, [PAY, BACK]),
    "a refund on its way": (
        paid(refunds={"r1": "intended"}), told("captured", refunds=(refund(300, "pending"),)),
        NOTHING_NEW, []),
    "a refund that failed on its way": (
        paid(refunds={"r1": "pending"}), told("captured", refunds=(refund(300, "failed"),)), APPLY,
        ["refund.failed"]),
    "a refund that failed after all": (
        paid("refunded", refunded=1_000, refunds={"r1": "succeeded"}),
        told("captured", refunds=(refund(1_000, "failed"),)), APPLY, ["refund.failed", BACK]),
    "a refund of their console that has failed, or had before another one was made": (
        paid("partially_refunded", refunded=300),
        told("captured", refunds=(refund(300, "failed", None),)), STEP_BACK, []),
    "one of two refunds failed": (
        paid("refunded", refunded=1_000, refunds={"r1": "succeeded", "r2": "succeeded"}),
        told("captured", refunds=(refund(400, "failed", "r1"), refund(600, ref="r2"))), APPLY,
        ["refund.failed", BACK]),
    "an old message from before the refund": (
        paid("partially_refunded", refunded=300, refunds={"r1": "succeeded"}), told("captured"),
        STEP_BACK, []),
    "an old message from when the refund was on its way": (
        paid("refunded", refunded=1_000, refunds={"r1": "succeeded"}),
        told("captured", refunds=(refund(1_000, "pending"),)), STEP_BACK, []),
    "an old message from before the refund failed": (
        paid(refunds={"r1": "failed"}), told("captured", refunds=(refund(300),)), STEP_BACK, []),
    "money goes back for a cancelled order": (
        held("captured", "cancelled", captured=1_000), told("captured", refunds=(refund(1_000),)),
        APPLY, [REFUNDED]),
    "money goes back during a dispute": (
        paid("disputed", dispute="open"), disputed("open", refunds=(refund(300),)), APPLY, [REFUNDED]),
    # disputes
    "a dispute": (paid(), disputed("open"), APPLY, [OPEN]),
    "a dispute that is won": (paid("disputed", dispute="open"), disputed("won", 0), APPLY, [WIN]),
    "a dispute that is lost": (paid("disputed", dispute="open"), disputed("lost"), APPLY, [LOSE]),
    "a dispute won before it was heard of": (paid(), disputed("won"), APPLY, [OPEN, WIN]),
    "a dispute lost before it was heard of": (paid(), disputed("lost"), APPLY, [OPEN, LOSE]),
    "paid and disputed, both unheard": (held(), disputed("open"), APPLY, [PAY, OPEN]),
    "a dispute after a refund": (
        paid("partially_refunded", refunded=300, refunds={"r1": "succeeded"}),
        disputed("open", 700, refunds=(refund(300),)), APPLY, [OPEN]),
    "an old message from before the dispute": (
        paid("disputed", dispute="open"), told("captured"), STEP_BACK, []),
    "a dispute that is open again": (paid(dispute="won"), disputed("open"), STEP_BACK, []),
    "a dispute lost after it was won": (paid(dispute="won"), disputed("lost"), STEP_BACK, []),
    "a dispute of an order that was closed unpaid": (
        held("captured", "cancelled", captured=1_000), disputed("open"), STEP_BACK, []),
    # calling off
    "called off as we wished": (held(is_cancelling=True), told("cancelled"), APPLY, [FAILED, CANCEL]),
    "declined while we wished to cancel": (
        held(is_cancelling=True), told("failed"), APPLY, [FAILED, CANCEL]),
    "one of two called off": (
        held(is_cancelling=True, has_other_live=True), told("cancelled"), APPLY, [FAILED]),
    "called off there, and nobody wished it": (held(), told("cancelled"), APPLY, [FAIL]),
    "paid while we wished to cancel": (held(is_cancelling=True), told("captured"), APPLY, [PAY]),
    "the last called off, and another took a part": (
        held(is_cancelling=True, order_captured=400), told("cancelled"), APPLY,
        [FAIL, "flag underpaid"]),
    "called off before we ever heard of it": (
        held("intended", "created", is_cancelling=True), told("failed"), APPLY, [START, FAILED, CANCEL]),
}  # fmt: skip
