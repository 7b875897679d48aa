"""The sandbox's payments and what can be done to them: values and pure moves, no storage and no network.

An act changes the payment and gives the type of the event that tells of it (None: nothing to tell). It raises
`NotPossible` where a payment system would answer 409 or 422.
"""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from orders.payments.sandbox.money import written


class NotPossible(Exception):
    """The payment's state, or an amount, does not allow it. `code` is for machines."""

    def __init__(self, message: str, *, code: str = "not_possible", status: int = 409) -> None:
        super().__init__(message)
        self.code, self.status = code, status


def new_ref(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def instant(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).isoformat(timespec="microseconds")


@dataclass(kw_only=True)
class Refund:
    provider_ref: str
    ref: str | None
    amount: int
    status: str = "succeeded"
    reason: str = ""


@dataclass(kw_only=True)
class Payment:
    merchant_ref: str
    amount: int
    currency: str
    provider_ref: str = field(default_factory=lambda: new_ref("pay"))
    dialect: str = "house"  # in which it was made, and is told of
    return_url: str = ""
    callback_url: str = ""
    description: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    status: str = "pending"
    authorised: int = 0
    captured: int = 0
    refunds: list[Refund] = field(default_factory=list)
    disputed: int = 0
    dispute: str | None = None
    failure_code: str = ""
    failure_message: str = ""
    created_at: str = field(default_factory=instant)
    updated_at: str = field(default_factory=instant)

    @classmethod
    def load(cls, data: dict[str, Any]) -> Self:
        return cls(**{**data, "refunds": [Refund(**refund) for refund in data["refunds"]]})

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def refunded(self) -> int:
        return sum(r.amount for r in self.refunds if r.status == "succeeded")

    @property
    def refundable(self) -> int:
        """What is left to give back, refunds under way taken off."""
        return self.captured - sum(r.amount for r in self.refunds if r.status != "failed")


def _need(payment: Payment, move: str, *allowed: str) -> None:
    if payment.status not in allowed:
        raise NotPossible(f"the payment is {payment.status}: {move} is not possible")


def pay(payment: Payment) -> str:
    _need(payment, "pay", "pending", "processing", "authorised", "failed")
    payment.status, payment.captured = "captured", payment.amount
    payment.failure_code = payment.failure_message = ""
    return "payment.captured"


def capture(payment: Payment) -> str:
    _need(payment, "capture", "authorised")
    return pay(payment)


def process(payment: Payment) -> str:
    _need(payment, "process", "pending", "failed")
    payment.status = "processing"
    payment.failure_code = payment.failure_message = ""
    return "payment.processing"


def authorise(payment: Payment) -> str:
    _need(payment, "authorise", "pending", "processing", "failed")
    payment.status, payment.authorised = "authorised", payment.amount
    payment.failure_code = payment.failure_message = ""
    return "payment.authorised"


def decline(payment: Payment) -> str:
    _need(payment, "decline", "pending", "processing", "authorised")
    payment.status = "failed"
    payment.failure_code, payment.failure_message = "card_declined", "The card was declined."
    return "payment.failed"


def cancel(payment: Payment) -> str | None:
    if payment.status == "cancelled":
        return None
    _need(payment, "cancel", "pending", "processing", "authorised", "failed")
    payment.status = "cancelled"
    return "payment.cancelled"


def expire(payment: Payment) -> str:
    _need(payment, "expire", "pending", "failed")
    payment.status = "expired"
    return "payment.expired"


def leave(_payment: Payment) -> None:
    """The customer closes the page; nothing happens, and nobody is told."""


def dispute(payment: Payment) -> str:
    _need(payment, "dispute", "captured")
    if payment.dispute is not None:
        raise NotPossible(f"there is a dispute already: {payment.dispute}")
    payment.dispute, payment.disputed = "open", payment.captured - payment.refunded
    return "dispute.opened"


def win_dispute(payment: Payment) -> str:
    _need_open_dispute(payment)
    payment.dispute, payment.disputed = "won", 0
    return "dispute.won"


def lose_dispute(payment: Payment) -> str:
    _need_open_dispute(payment)
    payment.dispute = "lost"
    return "dispute.lost"


def _need_open_dispute(payment: Payment) -> None:
    if payment.dispute != "open":
        raise NotPossible("there is no open dispute")


def refund(
    payment: Payment,
    amount: int | None,
    *,
    ref: str | None = None,
    reason: str = "",
    pending: bool = False,
) -> str:
    """Give `amount` back (None: all that is left). `ref` is the merchant's, None from the console."""
    _need(payment, "refund", "captured")
    if payment.dispute in ("open", "lost"):
        raise NotPossible(f"the dispute is {payment.dispute}: refund is not possible")
    amount = payment.refundable if amount is None else amount
    if not 0 < amount <= payment.refundable:
        left, wanted = (written(n, payment.currency) for n in (payment.refundable, amount))
        text = f"{left} is left to refund, not {wanted}"
        raise NotPossible(text, code="refund_exceeds_captured", status=422)
    status = "pending" if pending else "succeeded"
    payment.refunds.append(
        Refund(provider_ref=new_ref("ref"), ref=ref, amount=amount, status=status, reason=reason)
    )
    return f"refund.{status}"


def settle_refund(payment: Payment) -> str:
    """The oldest refund under way has arrived."""
    _refund_with(payment.refunds, "pending").status = "succeeded"
    return "refund.succeeded"


def fail_refund(payment: Payment) -> str:
    """The oldest refund under way comes back; if there is none, the newest that seemed done does, as banks do it."""
    if any(r.status == "pending" for r in payment.refunds):
        _refund_with(payment.refunds, "pending").status = "failed"
    else:
        _refund_with(payment.refunds[::-1], "succeeded").status = "failed"
    return "refund.failed"


def _refund_with(refunds: list[Refund], status: str) -> Refund:
    for found in refunds:
        if found.status == status:
            return found
    raise NotPossible(f"there is no refund that is {status}")


# `refund` is apart: it alone takes an amount.
ACTS: dict[str, Callable[[Payment], str | None]] = {
    act.__name__: act
    for act in (
        pay, decline, leave, authorise, capture, process, cancel, expire,
        dispute, win_dispute, lose_dispute, settle_refund, fail_refund,
    )
}  # fmt: skip
ACTIONS = (*ACTS, "refund")


def possible(payment: Payment) -> list[str]:
    """The actions that would do something now, for the buttons of a page."""
    return [action for action in ACTIONS if action != "leave" and _is_possible(payment, action)]


def _is_possible(payment: Payment, action: str) -> bool:
    trial = Payment.load(payment.dump())
    try:
        told = refund(trial, None) if action == "refund" else ACTS[action](trial)
    except NotPossible:
        return False
    return told is not None
