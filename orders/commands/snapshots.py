"""`apply_snapshot`: the one entry for what a provider says, whoever asked.

Callbacks, the reconciler, staff and the answers to our own calls all bring a `Snapshot`. It is decided by a pure
function (`orders.domain.decisions`), recorded by django-fsm transitions, and saved together with the payment.
"""

import logging

from django.db import transaction

from orders import clock
from orders.commands.review import flag_for_review
from orders.domain import events
from orders.domain.cause import Cause
from orders.domain.current_payment import CurrentPayment
from orders.domain.decisions import Decision, Verdict, decide
from orders.domain.outcomes import Outcome, Result
from orders.domain.payment_status import LIVE
from orders.domain.states import State
from orders.journal import statements, writer
from orders.journal.statements import LockedPayment
from orders.models import Order, Payment, Refund
from orders.payments import checkout_address, registry
from orders.payments.base import PaymentStatus, Snapshot
from orders.schedule.checks import schedule

log = logging.getLogger(__name__)


@transaction.atomic(savepoint=False)
def apply_snapshot(
    payment: int | LockedPayment,
    incoming: Snapshot,
    cause: Cause,
    *,
    seen: int | None = None,
    receipt: int | None = None,
) -> Result:
    """Let what a provider says about a payment move its order, if that is new and legal.

    `payment` is its primary key, or the order and payment that this transaction has locked already. `seen` is the
    order's version when the provider was asked; None for what it said unasked (a callback, the answer to a create).
    Only an answer to a question can be a conflict, and only if the order has not moved since the question: anything
    else that is out of step merely brings the next question forward. `receipt` is the callback that said it: what
    became of it is saved with the payment, in one statement.
    """
    locked = statements.locked(payment) if isinstance(payment, int) else payment
    result, changed = _apply(locked.order, locked.payment, incoming, cause, seen)
    if receipt is None:
        statements.save_payment(locked.payment, changed)
    else:
        statements.conclude(receipt, result.outcome, result.detail, locked.payment, changed)
    return result


_Changed = tuple[str, ...]  # the fields of the payment that are still to be saved


def _apply(
    order: Order, payment: Payment, incoming: Snapshot, cause: Cause, seen: int | None
) -> tuple[Result, _Changed]:
    is_answer = seen == order.version
    current = _current(order, payment, incoming)
    decision = decide(current, incoming, is_answer=is_answer)
    match decision.verdict:
        case Verdict.MISMATCH:
            flag_for_review(order, "mismatch", decision.detail, cause)
            return Result(Outcome.MISMATCH, decision.detail), ()
        case Verdict.STEP_BACK:
            named = _remember_address(payment, incoming)
            if not is_answer:
                payment.next_check_at = clock.now()
                return Result(Outcome.ASKING, decision.detail), ("next_check_at", *named)
            _record_conflict(order, payment, incoming, decision, cause)
            return Result(Outcome.CONFLICT, decision.detail), named
        case Verdict.NOTHING_NEW:
            changed = _remember_address(payment, incoming)
            if _settle_refunds(payment, incoming):  # from requested to pending: another timetable
                schedule(payment, clock.now())
                changed += _TIMETABLE
            return Result(Outcome.NOTHING_NEW, ""), changed
        case Verdict.APPLY:
            _record(order, decision, cause)
            changed = _take_over(payment, incoming)
            said = ", ".join(step.event.type for step in decision.steps)
            return Result(Outcome.APPLIED, said), changed


def _current(order: Order, payment: Payment, incoming: Snapshot) -> CurrentPayment:
    """Other attempts, and our refunds, are read only where they can make a difference."""
    pays_all = incoming.status is PaymentStatus.CAPTURED and incoming.captured >= order.total
    may_be_last = incoming.status not in LIVE and not pays_all
    return CurrentPayment(
        payment=payment.ref,
        provider=payment.provider,
        provider_ref=payment.provider_ref,
        amount=payment.amount,
        currency=payment.currency,
        status=payment.status,
        captured=payment.captured,
        refunded=payment.refunded,
        refunds=dict(payment.refunds.values_list("ref", "status")) if incoming.refunds else {},
        dispute=payment.dispute,
        order_state=State(order.state),
        order_total=order.total,
        order_captured=order.captured,
        order_refunded=order.refunded,
        has_other_live=may_be_last and _has_other_live(order, payment),
        is_cancelling=order.is_cancelling,
        order_flags=order.flags,
    )


def _has_other_live(order: Order, payment: Payment) -> bool:
    return order.payments.filter(status__in=LIVE).exclude(pk=payment.pk).exists()


def _record(order: Order, decision: Decision, cause: Cause) -> None:
    for step in decision.steps:
        if step.move:
            order.make(step.move, step.event, cause)
        else:
            writer.record(order, step.event, cause)


def _record_conflict(
    order: Order, payment: Payment, incoming: Snapshot, decision: Decision, cause: Cause
) -> None:
    if "conflict" not in order.flags:
        event = events.ConflictFound(
            payment=payment.ref, ours=payment.status, theirs=incoming.status
        )
        writer.record(order, event, cause)
        flag_for_review(order, "conflict", decision.detail, cause)


_TIMETABLE = ("profile", "step", "next_check_at")
_TAKEN_OVER = (
    "status", "authorised", "captured", "refunded", "disputed", "dispute", "failure_code", "is_offline",
    "hold_ends_at", "changed_at",
)  # fmt: skip


def _take_over(payment: Payment, incoming: Snapshot) -> _Changed:
    """What the provider says, into the payment. Returns the fields to save: a check may be logged meanwhile."""
    now = clock.now()
    payment.status = incoming.status
    payment.authorised, payment.captured = incoming.authorised, incoming.captured
    payment.refunded, payment.disputed = incoming.refunded, incoming.disputed
    payment.dispute = incoming.dispute or ""
    payment.failure_code = incoming.failure_code[:64]
    payment.is_offline, payment.hold_ends_at = incoming.is_offline, incoming.hold_ends_at
    payment.changed_at = now
    _settle_refunds(payment, incoming)
    schedule(payment, now)  # a change starts the profile again
    return _TAKEN_OVER + _TIMETABLE + _remember_address(payment, incoming)


def _remember_address(payment: Payment, incoming: Snapshot) -> _Changed:
    """Where the payment is found at the provider: known from whichever message comes first."""
    before = payment.provider_ref, payment.checkout_url
    payment.provider_ref = incoming.name_after(payment.provider_ref)
    payment.checkout_url = _checkout_address(payment, incoming.checkout_url)
    is_news = before != (payment.provider_ref, payment.checkout_url)
    return ("provider_ref", "checkout_url") if is_news else ()


def _checkout_address(payment: Payment, address: str) -> str:
    """The new one, if there is one that may be opened."""
    if not address or address == payment.checkout_url:
        return payment.checkout_url
    if checkout_address.is_allowed(address, registry.get(payment.provider)):
        return address
    log.error("%s gave a checkout address that may not be opened: %.40r", payment.provider, address)
    return payment.checkout_url


def _settle_refunds(payment: Payment, incoming: Snapshot) -> int:
    """How many of our refunds have another status now."""
    return sum(
        Refund.objects.filter(payment=payment, ref=refund.ref)
        .exclude(status=refund.status)
        .update(status=refund.status, provider_ref=refund.provider_ref)
        for refund in incoming.refunds
        if refund.ref
    )
