"""Every change of an order that is decided here. Each command loads, decides, records, in one transaction.

`apply_snapshot` is the one door for what a provider says, whoever asked: callback, reconciler, staff, or the answer
to a call of ours. What talks to a provider stands in `conversations`; nothing here does.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils import timezone

from orders.domain import events
from orders.domain.cause import Cause
from orders.domain.decisions import LIVE, Decision, Held, Verdict, decide, flag
from orders.domain.errors import CannotCancel, IdempotencyConflict, IllegalMove, InvalidRequest
from orders.domain.outcomes import Outcome, Result
from orders.domain.states import MOVES, UNPAID, State, legal_moves
from orders.journal import statements, writer
from orders.models import JournalEpoch, Order, Payment, Refund, new_epoch
from orders.payments.base import PaymentStatus, Snapshot
from orders.schedule.checks import schedule
from orders.schedule.profiles import PROFILES, Profile


def create_order(
    *,
    total: int,
    currency: str,
    cause: Cause,
    metadata: Mapping[str, Any] | None = None,
    customer_id: int | None = None,
    expires_in: int | None = None,
    idempotency_key: str | None = None,
) -> tuple[Order, bool]:
    """A new order, or the one that this key made before; and whether it is new.

    `total` in minor units, `expires_in` in seconds. A key counts for its sender alone. Raises `IdempotencyConflict`.
    """
    request = [total, currency, metadata or {}, customer_id, expires_in]
    scope = f"{cause.source}:{cause.actor}"
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    if idempotency_key and (earlier := _made_before(scope, idempotency_key, digest)):
        return earlier, False
    deadline = timezone.now() + timedelta(seconds=expires_in or settings.ORDERCAST_ORDER_LIFETIME)
    order = Order(
        customer_id=customer_id,
        metadata=dict(metadata or {}),
        idempotency_scope=scope,
        idempotency_key=idempotency_key,
        request_hash=digest,
    )
    event = events.OrderCreated(total=total, currency=currency, expires_at=deadline.isoformat())
    try:
        with transaction.atomic():
            writer.open_stream(order, event, cause)
    except IntegrityError:
        # Two requests with one key met: the database let one through, and the other gets its order.
        if idempotency_key and (earlier := _made_before(scope, idempotency_key, digest)):
            return earlier, False
        if customer_id and not get_user_model().objects.filter(pk=customer_id).exists():
            raise InvalidRequest(f"There is no user {customer_id} to be the customer.") from None
        raise
    return order, True


def _made_before(scope: str, key: str, digest: str) -> Order | None:
    order = Order.objects.filter(idempotency_scope=scope, idempotency_key=key).first()
    if order is not None and order.request_hash != digest:
        raise IdempotencyConflict(key)
    return order


@transaction.atomic(savepoint=False)
def apply_snapshot(
    payment_id: int, told: Snapshot, cause: Cause, *, seen: int | None = None
) -> tuple[Outcome, str]:
    """Let what a provider says about a payment move its order, if that is new and legal.

    `seen` is the order's version when the provider was asked; None for what it said unasked (a callback, the answer to
    a create). Only an answer to a question can be a conflict, and only if the order has not moved since the question:
    anything else that is out of step merely brings the next question forward.
    """
    order, payment = statements.locked(payment_id)
    result = let_in(order, payment, told, cause, seen=seen)
    statements.save_payment(payment, result.changed)
    return result.outcome, result.detail


def let_in(
    order: Order, payment: Payment, told: Snapshot, cause: Cause, *, seen: int | None = None
) -> Result:
    """The same, for whoever has locked both already (`orders.journal.statements`), and saves the
    payment with what else it writes."""
    decision = decide(_held(order, payment, told), told, is_answer=seen == order.version)
    match decision.verdict:
        case Verdict.MISMATCH:
            call_a_person(order, "mismatch", decision.detail, cause)
            return Result(Outcome.MISMATCH, decision.detail)
        case Verdict.STEP_BACK:
            named = _remember_address(payment, told)
            if seen is None or seen != order.version:
                payment.next_check_at = timezone.now()
                return Result(Outcome.ASKING, decision.detail, ("next_check_at", *named))
            _note_conflict(order, payment, told, decision, cause)
            return Result(Outcome.CONFLICT, decision.detail, named)
        case Verdict.NOTHING_NEW:
            changed = _remember_address(payment, told)
            if _settle_refunds(payment, told):  # from asked for to under way: another timetable
                schedule(payment, timezone.now())
                changed += _TIMETABLE
            return Result(Outcome.NOTHING_NEW, "", changed)
        case Verdict.APPLY:
            _record(order, decision, cause)
            changed = _take_over(payment, told)
            said = ", ".join(step.event.type for step in decision.steps)
            return Result(Outcome.APPLIED, said, changed)


def _held(order: Order, payment: Payment, told: Snapshot) -> Held:
    """Other attempts, and our refunds, are looked at only where they can make a difference."""
    pays_all = told.status is PaymentStatus.CAPTURED and told.captured >= order.total
    may_be_last = told.status not in LIVE and not pays_all
    return Held(
        payment=payment.ref,
        provider=payment.provider,
        provider_ref=payment.provider_ref,
        amount=payment.amount,
        currency=payment.currency,
        status=payment.status,
        captured=payment.captured,
        refunded=payment.refunded,
        refunds=dict(payment.refunds.values_list("ref", "status")) if told.refunds else {},
        dispute=payment.dispute,
        order_state=State(order.state),
        order_total=order.total,
        order_captured=order.captured,
        order_refunded=order.refunded,
        has_other_live=may_be_last and _has_other_live(order, payment),
        is_cancelling=order.is_cancelling,
    )


def _has_other_live(order: Order, payment: Payment) -> bool:
    return order.payments.filter(status__in=LIVE).exclude(pk=payment.pk).exists()


def _record(order: Order, decision: Decision, cause: Cause) -> None:
    for step in decision.steps:
        if step.move:
            order.make(step.move, step.event, cause)
        else:
            writer.record(order, step.event, cause)


def _note_conflict(
    order: Order, payment: Payment, told: Snapshot, decision: Decision, cause: Cause
) -> None:
    if "conflict" not in order.flags:
        event = events.ConflictFound(payment=payment.ref, ours=payment.status, theirs=told.status)
        writer.record(order, event, cause)
        call_a_person(order, "conflict", decision.detail, cause)


_TIMETABLE = ("profile", "step", "next_check_at")
_TOLD = (
    "status", "authorised", "captured", "refunded", "disputed", "dispute", "failure_code", "is_offline",
    "hold_ends_at", "changed_at",
)  # fmt: skip


def _take_over(payment: Payment, told: Snapshot) -> tuple[str, ...]:
    """What the provider says, into the payment. Returns the fields to save: a look may be logged meanwhile."""
    now = timezone.now()
    payment.status = told.status
    payment.authorised, payment.captured = told.authorised, told.captured
    payment.refunded, payment.disputed = told.refunded, told.disputed
    payment.dispute = told.dispute or ""
    payment.failure_code = told.failure_code[:64]
    payment.is_offline, payment.hold_ends_at = told.is_offline, told.hold_ends_at
    payment.changed_at = now
    _settle_refunds(payment, told)
    schedule(payment, now)  # a change starts the profile again
    return _TOLD + _TIMETABLE + _remember_address(payment, told)


def _remember_address(payment: Payment, told: Snapshot) -> tuple[str, ...]:
    """Where the payment is found at the provider: known from whichever message comes first."""
    before = payment.provider_ref, payment.checkout_url
    payment.provider_ref = told.name_after(payment.provider_ref)
    payment.checkout_url = told.checkout_url or payment.checkout_url
    is_news = before != (payment.provider_ref, payment.checkout_url)
    return ("provider_ref", "checkout_url") if is_news else ()


def _settle_refunds(payment: Payment, told: Snapshot) -> int:
    """How many of our refunds have another status now."""
    return sum(
        Refund.objects.filter(payment=payment, ref=refund.ref)
        .exclude(status=refund.status)
        .update(status=refund.status, provider_ref=refund.provider_ref)
        for refund in told.refunds
        if refund.ref
    )


def call_a_person(order: Order, reason: str, detail: str, cause: Cause) -> None:
    """Flag a locked order, once for each reason until it is cleared."""
    if reason not in order.flags:
        writer.record(order, flag(reason, detail), cause)


@transaction.atomic
def flag_order(ref: str, *, reason: str, detail: str, cause: Cause) -> Order:
    """Call a person to the order."""
    order = Order.objects.locked(ref)
    call_a_person(order, reason, detail, cause)
    return order


@transaction.atomic
def clear_review(ref: str, *, reason: str, cause: Cause) -> Order:
    """A person has looked: take all flags off, and say why. Raises `InvalidRequest` where there are none."""
    order = Order.objects.locked(ref)
    if not order.flags:
        raise InvalidRequest(f"Order {ref} has no flag to clear.")
    writer.record(order, events.ReviewCleared(cleared=list(order.flags), reason=reason), cause)
    return order


@transaction.atomic
def accept_late_payment(ref: str, *, reason: str, cause: Cause) -> Order:
    """Staff take the money that came after the order was closed. Raises `IllegalMove`, `InvalidRequest`."""
    order = Order.objects.locked(ref)
    if (
        order.captured - order.refunded < order.total
        and order.state in MOVES["accept_late_payment"].sources
    ):
        raise InvalidRequest(
            f"Order {ref} holds {order.captured - order.refunded} of {order.total} {order.currency}: "
            "a late payment can be accepted when the whole total has come."
        )
    order.make("accept_late_payment", events.LatePaymentAccepted(reason=reason), cause)
    given_back = order.payments.filter(refunded__gt=0).first()
    if given_back is not None:  # while it was closed: its amounts say where it stands
        back = events.RefundChanged(payment=given_back.ref, refunded=order.refunded)
        order.make("refund_changed", back, cause)
    return order


@transaction.atomic
def intend_cancellation(ref: str, *, reason: str, cause: Cause) -> tuple[Order, list[Payment]]:
    """Cancel at once where nothing was ever sent; otherwise write the wish down and return the payments to call off.

    Raises `CannotCancel` once money has moved, `IllegalMove` where the order is closed already.
    """
    order = Order.objects.locked(ref)
    if order.captured:
        raise CannotCancel(f"Order {ref} is {order.state} and holds money: refund it instead.")
    if order.state not in UNPAID:
        raise IllegalMove(ref, order.state, "cancel", legal_moves(order.state))
    live = list(order.payments.filter(status__in=LIVE))
    if not live:
        order.make("cancel", events.OrderCancelled(reason=reason), cause)
        # An attempt that failed may be open at its provider for another try: the next tick calls it off.
        failed = order.payments.filter(status=PaymentStatus.FAILED).exclude(provider_ref="")
        failed.update(next_check_at=timezone.now())
    elif not order.is_cancelling:
        writer.record(order, events.CancellationRequested(reason=reason), cause)
        # The call comes after the commit; should we die in between, the reconciler makes it.
        soon = timezone.now() + PROFILES[Profile.UNKNOWN][0] * settings.ORDERCAST_CHECK_TIME_SCALE
        order.payments.filter(status__in=LIVE, next_check_at__gt=soon).update(next_check_at=soon)
    return order, live


def begin_epoch() -> str:
    """Give the journal a new epoch, as after a restore: every page starts again from a snapshot."""
    word = new_epoch()
    JournalEpoch.objects.update(word=word)
    return word
