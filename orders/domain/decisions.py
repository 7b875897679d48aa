"""What to do about a provider's answer: a pure function of what we hold and what the provider says.

It knows no database and no provider; its table of tests is the specification of the callback rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orders.domain import events as e
from orders.domain.current_payment import CurrentPayment
from orders.domain.payment_status import DEAD, LIVE, RANK, OwnStatus
from orders.domain.states import CLOSED_UNPAID, MOVES, SETTLED, UNPAID, State, settled_state
from orders.payments import money
from orders.payments.base import DisputeStatus, PaymentStatus, RefundStatus, Snapshot

LATE_PAYMENT = "late_payment"  # the reason of a flag: money came after the order was closed


class Verdict(StrEnum):
    APPLY = "apply"  # something new, and legal
    NOTHING_NEW = "nothing_new"  # the same state again
    STEP_BACK = "step_back"  # older than what we hold, or illegal from here
    MISMATCH = "mismatch"  # another amount, currency or reference: never a transition


@dataclass(frozen=True, kw_only=True)
class Step:
    """One event to record; with `move` it comes as that transition."""

    event: e.Event
    move: str | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    verdict: Verdict
    steps: Sequence[Step] = ()
    detail: str = ""


def decide(current: CurrentPayment, incoming: Snapshot, *, is_answer: bool = False) -> Decision:
    """What the snapshot means for the payment and its order.

    `is_answer`: the provider was asked, and nothing has moved since. Then a failed payment that lives again is news:
    the customer tried once more. Merely heard, it could as well be an old message.
    """
    mismatch = _mismatch(current, incoming)
    if mismatch:
        return Decision(verdict=Verdict.MISMATCH, detail=mismatch)
    behind = _step_back(current, incoming, is_answer=is_answer)
    if behind:
        return Decision(verdict=Verdict.STEP_BACK, detail=behind)
    return _walk(current, incoming)


def _mismatch(current: CurrentPayment, incoming: Snapshot) -> str:
    if incoming.merchant_ref != current.payment:
        return f"the provider reports payment {incoming.merchant_ref!r}, not {current.payment!r}"
    if not incoming.may_be(current.provider_ref):
        return f"the provider's reference is {incoming.provider_ref!r}, and was {current.provider_ref!r}"
    if incoming.currency.upper() != current.currency.upper():
        return f"the currency is {incoming.currency} at the provider, {current.currency} here"
    if incoming.amount != current.amount:
        theirs, ours = _plain(incoming.amount, incoming), _plain(current.amount, current)
        return f"the amount is {theirs} at the provider, {ours} here"
    if incoming.captured > incoming.amount:
        captured, amount = _plain(incoming.captured, incoming), _plain(incoming.amount, incoming)
        return f"the provider captured {captured} of {amount}"
    return ""


def _plain(amount: int, of: CurrentPayment | Snapshot) -> str:
    return money.plain(amount, of.currency.upper())


def _step_back(current: CurrentPayment, incoming: Snapshot, *, is_answer: bool) -> str:
    if incoming.captured < current.captured:
        before, after = _plain(current.captured, current), _plain(incoming.captured, current)
        return f"the captured amount would fall from {before} to {after}"
    # The one end that is none where a provider lets people try again.
    is_failed = current.status == PaymentStatus.FAILED
    is_back = RANK[incoming.status] < RANK[current.status] and not (is_failed and is_answer)
    is_other_end = incoming.status in DEAD and current.status in DEAD - {
        incoming.status,
        PaymentStatus.FAILED,
    }
    if is_back or is_other_end:
        return f"the payment is {incoming.status} at the provider, {current.status} here"
    return _refund_back(current, incoming, is_answer=is_answer)


def _refund_back(current: CurrentPayment, incoming: Snapshot, *, is_answer: bool) -> str:
    """What has gone back falls only by a refund that has failed since; anything else is an old message.

    When a refund that we did not make has failed is known to an answer alone: heard, it may be long ago.
    """
    newly_failed = 0
    for refund in incoming.refunds:
        was = current.refunds.get(refund.ref or "", "")
        if was == RefundStatus.FAILED and refund.status is not RefundStatus.FAILED:
            return f"refund {refund.ref} is {refund.status} at the provider, and had failed"
        is_news = was == RefundStatus.SUCCEEDED or (is_answer and was != RefundStatus.FAILED)
        if refund.status is RefundStatus.FAILED and is_news:
            newly_failed += refund.amount
    if incoming.refunded + newly_failed < current.refunded:
        before, after = _plain(current.refunded, current), _plain(incoming.refunded, current)
        return f"the refunded amount would fall from {before} to {after}, and no refund failed"
    return ""


class _Walk:
    """Collects steps, and follows the order's state through them so that the next step knows where it stands."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.steps: list[Step] = []
        self.illegal = ""

    def make(self, move: str, event: e.Event, to: State | None = None) -> None:
        if self.state not in MOVES[move].sources:
            self.illegal = self.illegal or f"{move} is not possible while the order is {self.state}"
            return
        self.steps.append(Step(event=event, move=move))
        self.state = to or next(iter(MOVES[move].targets))

    def note(self, event: e.Event) -> None:
        self.steps.append(Step(event=event))


def _walk(current: CurrentPayment, incoming: Snapshot) -> Decision:
    walk = _Walk(current.order_state)
    if incoming.status != current.status or incoming.captured != current.captured:
        _payment_steps(walk, current, incoming)
    _refund_steps(walk, current, incoming)
    _dispute_steps(walk, current, incoming)
    if walk.illegal:
        return Decision(verdict=Verdict.STEP_BACK, detail=walk.illegal)
    is_new = bool(walk.steps) or incoming.status != current.status
    verdict = Verdict.APPLY if is_new else Verdict.NOTHING_NEW
    return Decision(verdict=verdict, steps=tuple(walk.steps))


def _payment_steps(walk: _Walk, current: CurrentPayment, incoming: Snapshot) -> None:
    if current.status == OwnStatus.INTENDED and walk.state not in CLOSED_UNPAID:
        started = e.PaymentStarted(
            payment=current.payment, provider=current.provider, amount=current.amount
        )
        if walk.state in MOVES["start"].sources:
            walk.make("start", started)
        else:
            walk.note(started)
    match incoming.status:
        case PaymentStatus.PENDING if current.status == PaymentStatus.FAILED:
            again = e.PaymentStarted(
                payment=current.payment, provider=current.provider, amount=current.amount
            )
            _advance(walk, "start", again)
        case PaymentStatus.PROCESSING:
            _advance(walk, "process", e.PaymentProcessing(payment=current.payment))
        case PaymentStatus.AUTHORISED if incoming.status != current.status:
            amount = incoming.authorised or incoming.amount
            _advance(walk, "authorise", e.PaymentAuthorised(payment=current.payment, amount=amount))
        case PaymentStatus.FAILED | PaymentStatus.CANCELLED | PaymentStatus.EXPIRED:
            if current.status not in DEAD:
                _close(walk, current, incoming)
    # Whatever the status: a part can be taken of what stays authorised, or of what is then called off.
    if incoming.captured > current.captured:
        _capture(walk, current, incoming)
    short = current.order_total - current.captured_with(incoming)
    is_over = incoming.status not in LIVE and not current.has_other_live
    if is_over and walk.state in UNPAID and 0 < short < current.order_total:
        walk.note(flag("underpaid", f"{_plain(short, current)} of the order's total is missing"))


def _advance(walk: _Walk, move: str, event: e.Event) -> None:
    """Another attempt may be further already, or the order closed: then the event is noted, and the order stays."""
    if walk.state in MOVES[move].sources:
        walk.make(move, event)
    else:
        walk.note(event)


def _capture(walk: _Walk, current: CurrentPayment, incoming: Snapshot) -> None:
    taken = incoming.captured - current.captured
    captured = current.captured_with(incoming)
    if walk.state in CLOSED_UNPAID:
        walk.note(e.LatePaymentReceived(payment=current.payment, amount=taken, captured=captured))
        walk.note(
            flag(LATE_PAYMENT, f"{_plain(taken, current)} arrived when the order was {walk.state}")
        )
        return
    event = e.PaymentCaptured(payment=current.payment, amount=taken, captured=captured)
    was_unpaid = walk.state in UNPAID
    if was_unpaid and captured >= current.order_total:
        walk.make("pay", event)
    else:
        walk.note(event)
    stands = settled_state(captured, current.order_refunded)
    if walk.state in SETTLED and walk.state != stands:  # what went back before counts as well
        back = e.RefundChanged(payment=current.payment, refunded=current.order_refunded)
        walk.make("refund_changed", back, to=stands)
    over = captured - current.order_total - (current.order_refunded if was_unpaid else 0)
    if over > 0:
        walk.note(
            flag("overpaid", f"{_plain(over, current)} more than the order's total was captured")
        )


def _close(walk: _Walk, current: CurrentPayment, incoming: Snapshot) -> None:
    code = incoming.failure_code or (
        "" if incoming.status is PaymentStatus.FAILED else str(incoming.status)
    )
    is_last = not current.has_other_live
    is_cancelled = (
        is_last
        and current.is_cancelling
        and not current.captured_with(incoming)  # an order that holds money is not cancelled
        and walk.state in MOVES["cancel"].sources
    )
    fails_order = is_last and not is_cancelled and walk.state in MOVES["fail"].sources
    event = e.PaymentFailed(
        payment=current.payment,
        code=code,
        message=incoming.failure_message,
        fails_order=fails_order,
    )
    if fails_order:
        walk.make("fail", event)
    else:
        walk.note(event)
    if is_cancelled:
        walk.make("cancel", e.OrderCancelled(reason="confirmed by the provider"))


def _refund_steps(walk: _Walk, current: CurrentPayment, incoming: Snapshot) -> None:
    for refund in incoming.refunds:
        was = current.refunds.get(refund.ref or "", "")
        if was and refund.status is RefundStatus.FAILED and was != RefundStatus.FAILED:
            failed = e.RefundFailed(
                payment=current.payment, refund=str(refund.ref), amount=refund.amount
            )
            walk.note(failed)
    changed = incoming.refunded - current.refunded
    if changed == 0:
        return
    event = e.RefundChanged(payment=current.payment, refunded=current.order_refunded + changed)
    if walk.state in MOVES["refund_changed"].sources:
        to = settled_state(current.captured_with(incoming), event.refunded)
        walk.make("refund_changed", event, to=to)
    else:
        walk.note(event)  # money given back for a closed, disputed or unpaid order: known, no state
    if walk.state in CLOSED_UNPAID:
        _late_money_steps(walk, current, current.captured_with(incoming) - event.refunded, changed)
    over = current.captured_with(incoming) - event.refunded - current.order_total
    if changed < 0 and over > 0:  # what was to go back is still here; the rest was paid meanwhile
        walk.note(flag("overpaid", f"{_plain(over, current)} more than the order's total is left"))


def _late_money_steps(walk: _Walk, current: CurrentPayment, left: int, changed: int) -> None:
    """Once all that came too late has gone back, nobody has to decide about it any more; if it comes back, they do."""
    events = [step.event for step in walk.steps]
    flagged = [each.reason for each in events if isinstance(each, e.OrderFlagged)]
    is_flagged = LATE_PAYMENT in {*current.order_flags, *flagged}
    if left <= 0 and is_flagged:
        walk.note(e.ReviewCleared(cleared=[LATE_PAYMENT], reason="the money has been sent back"))
    elif left > 0 and changed < 0 and not is_flagged:
        walk.note(flag(LATE_PAYMENT, f"{_plain(left, current)} could not be sent back"))


def _dispute_steps(walk: _Walk, current: CurrentPayment, incoming: Snapshot) -> None:
    if (incoming.dispute or "") == current.dispute:
        return
    opened = e.DisputeOpened(
        payment=current.payment, disputed=incoming.disputed or incoming.captured
    )
    if incoming.dispute is None:
        walk.illegal = walk.illegal or "the provider no longer knows of the dispute"
        return
    if not current.dispute:
        walk.make("open_dispute", opened)
    elif current.dispute != DisputeStatus.OPEN:
        walk.illegal = (
            walk.illegal or f"a dispute that was {current.dispute} is now {incoming.dispute}"
        )
        return
    if incoming.dispute is DisputeStatus.WON:
        refunded = current.order_refunded + incoming.refunded - current.refunded
        to = settled_state(current.captured_with(incoming), refunded)
        walk.make("win_dispute", e.DisputeWon(payment=current.payment), to=to)
    elif incoming.dispute is DisputeStatus.LOST:
        lost = e.DisputeLost(
            payment=current.payment, disputed=incoming.disputed or incoming.captured
        )
        walk.make("lose_dispute", lost)


def flag(reason: str, detail: str) -> e.OrderFlagged:
    """The event that flags an order for review."""
    return e.OrderFlagged(reason=reason, detail=detail)
