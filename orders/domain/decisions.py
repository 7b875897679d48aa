"""What to do about a provider's answer: a pure function of what we hold and what the provider says.

It knows no database and no provider; its table of tests is the specification of the callback rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orders.domain import events as e
from orders.domain.states import CLOSED_UNPAID, MOVES, SETTLED, UNPAID, State, settled_state
from orders.payments.base import DisputeStatus, PaymentStatus, RefundStatus, Snapshot

INTENDED = "intended"  # our own word, before the provider has ever answered

# How far a payment has come. An end is behind all of these, and money taken behind every end.
_LADDER = (INTENDED, PaymentStatus.PENDING, PaymentStatus.PROCESSING, PaymentStatus.AUTHORISED)
DEAD = frozenset({PaymentStatus.FAILED, PaymentStatus.CANCELLED, PaymentStatus.EXPIRED})
_RANK: dict[str, int] = {
    **{status: rank for rank, status in enumerate(_LADDER)},
    **dict.fromkeys(DEAD, len(_LADDER)),
    PaymentStatus.CAPTURED: len(_LADDER) + 1,
}
LIVE = frozenset(_LADDER)


class Verdict(StrEnum):
    APPLY = "apply"  # something new, and legal
    NOTHING_NEW = "nothing_new"  # the same state again
    STEP_BACK = "step_back"  # older than what we hold, or illegal from here
    MISMATCH = "mismatch"  # another amount, currency or reference: never a transition


@dataclass(frozen=True, kw_only=True)
class Held:
    """What we hold: the payment, and the order around it. Order amounts are totals over all its payments."""

    payment: str
    provider: str
    provider_ref: str  # "" until the provider has named it
    amount: int
    currency: str
    status: str  # PaymentStatus, or INTENDED
    captured: int
    refunded: int
    refunds: Mapping[str, str]  # our refunds of this payment: ref → RefundStatus or INTENDED
    dispute: str  # DisputeStatus, or ""
    order_state: State
    order_total: int
    order_captured: int
    order_refunded: int
    has_other_live: bool  # another attempt of the order is still open
    is_cancelling: bool


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


def decide(held: Held, told: Snapshot, *, is_answer: bool = False) -> Decision:
    """What the snapshot means for the payment and its order.

    `is_answer`: the provider was asked, and nothing has moved since. Then a failed payment that lives again is news:
    the customer tried once more. Merely heard, it could as well be an old message.
    """
    mismatch = _mismatch(held, told)
    if mismatch:
        return Decision(verdict=Verdict.MISMATCH, detail=mismatch)
    behind = _step_back(held, told, is_answer=is_answer)
    if behind:
        return Decision(verdict=Verdict.STEP_BACK, detail=behind)
    return _walk(held, told)


def _mismatch(held: Held, told: Snapshot) -> str:
    if told.merchant_ref != held.payment:
        return f"the provider speaks of payment {told.merchant_ref!r}, not {held.payment!r}"
    if not told.may_be(held.provider_ref):
        return f"the provider calls it {told.provider_ref!r}, before it was {held.provider_ref!r}"
    if told.currency.upper() != held.currency.upper():
        return f"the provider says {told.currency}, the order {held.currency}"
    if told.amount != held.amount:
        return f"the provider says {told.amount} {told.currency}, the payment is {held.amount}"
    if told.captured > told.amount:
        return f"the provider took {told.captured} of {told.amount} {told.currency}"
    return ""


def _step_back(held: Held, told: Snapshot, *, is_answer: bool) -> str:
    if told.captured < held.captured:
        return f"captured would fall from {held.captured} to {told.captured}"
    # The one end that is none where a provider lets people try again.
    is_failed = held.status == PaymentStatus.FAILED
    is_back = _RANK[told.status] < _RANK[held.status] and not (is_failed and is_answer)
    is_other_end = told.status in DEAD and held.status in DEAD - {
        told.status,
        PaymentStatus.FAILED,
    }
    if is_back or is_other_end:
        return f"the payment is {held.status}; the provider says {told.status}"
    return _refund_back(held, told, is_answer=is_answer)


def _refund_back(held: Held, told: Snapshot, *, is_answer: bool) -> str:
    """What has gone back falls only by a refund that has failed since; anything else is an old message.

    When a refund that we did not make has failed is known to an answer alone: heard, it may be long ago.
    """
    newly_failed = 0
    for refund in told.refunds:
        was = held.refunds.get(refund.ref or "", "")
        if was == RefundStatus.FAILED and refund.status is not RefundStatus.FAILED:
            return f"refund {refund.ref} had failed; the provider says {refund.status}"
        is_news = was == RefundStatus.SUCCEEDED or (is_answer and was != RefundStatus.FAILED)
        if refund.status is RefundStatus.FAILED and is_news:
            newly_failed += refund.amount
    if told.refunded + newly_failed < held.refunded:
        return f"refunded would fall from {held.refunded} to {told.refunded}, and no refund failed"
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


def _walk(held: Held, told: Snapshot) -> Decision:
    walk = _Walk(held.order_state)
    if told.status != held.status or told.captured != held.captured:
        _payment_steps(walk, held, told)
    _refund_steps(walk, held, told)
    _dispute_steps(walk, held, told)
    if walk.illegal:
        return Decision(verdict=Verdict.STEP_BACK, detail=walk.illegal)
    is_new = bool(walk.steps) or told.status != held.status
    verdict = Verdict.APPLY if is_new else Verdict.NOTHING_NEW
    return Decision(verdict=verdict, steps=tuple(walk.steps))


def _payment_steps(walk: _Walk, held: Held, told: Snapshot) -> None:
    if held.status == INTENDED and walk.state not in CLOSED_UNPAID:
        started = e.PaymentStarted(payment=held.payment, provider=held.provider, amount=held.amount)
        if walk.state in MOVES["start"].sources:
            walk.make("start", started)
        else:
            walk.note(started)
    match told.status:
        case PaymentStatus.PENDING if held.status == PaymentStatus.FAILED:
            again = e.PaymentStarted(
                payment=held.payment, provider=held.provider, amount=held.amount
            )
            _advance(walk, "start", again)
        case PaymentStatus.PROCESSING:
            _advance(walk, "process", e.PaymentProcessing(payment=held.payment))
        case PaymentStatus.AUTHORISED if told.status != held.status:
            amount = told.authorised or told.amount
            _advance(walk, "authorise", e.PaymentAuthorised(payment=held.payment, amount=amount))
        case PaymentStatus.FAILED | PaymentStatus.CANCELLED | PaymentStatus.EXPIRED:
            if held.status not in DEAD:
                _close(walk, held, told)
    # Whatever the status: a part can be taken of what stays authorised, or of what is then called off.
    if told.captured > held.captured:
        _capture(walk, held, told)
    short = held.order_total - _captured(held, told)
    is_over = told.status not in LIVE and not held.has_other_live
    if is_over and walk.state in UNPAID and 0 < short < held.order_total:
        walk.note(flag("underpaid", f"{short} {held.currency} of the order's total are missing"))


def _captured(held: Held, told: Snapshot) -> int:
    """What the whole order has captured, with what is told."""
    return held.order_captured + max(0, told.captured - held.captured)


def _advance(walk: _Walk, move: str, event: e.Event) -> None:
    """Another attempt may be further already, or the order closed: then the event is noted, and the order stays."""
    if walk.state in MOVES[move].sources:
        walk.make(move, event)
    else:
        walk.note(event)


def _capture(walk: _Walk, held: Held, told: Snapshot) -> None:
    taken = told.captured - held.captured
    captured = _captured(held, told)
    if walk.state in CLOSED_UNPAID:
        walk.note(e.LatePaymentReceived(payment=held.payment, amount=taken, captured=captured))
        walk.note(
            flag("late_payment", f"{taken} {held.currency} came after the order was {walk.state}")
        )
        return
    event = e.PaymentCaptured(payment=held.payment, amount=taken, captured=captured)
    was_unpaid = walk.state in UNPAID
    if was_unpaid and captured >= held.order_total:
        walk.make("pay", event)
    else:
        walk.note(event)
    stands = settled_state(captured, held.order_refunded)
    if walk.state in SETTLED and walk.state != stands:  # what went back before counts as well
        back = e.RefundChanged(payment=held.payment, refunded=held.order_refunded)
        walk.make("refund_changed", back, to=stands)
    over = captured - held.order_total - (held.order_refunded if was_unpaid else 0)
    if over > 0:
        walk.note(flag("overpaid", f"{over} {held.currency} more than the order's total was taken"))


def _close(walk: _Walk, held: Held, told: Snapshot) -> None:
    code = told.failure_code or ("" if told.status is PaymentStatus.FAILED else str(told.status))
    is_last = not held.has_other_live
    is_cancelled = (
        is_last
        and held.is_cancelling
        and not _captured(held, told)  # an order that holds money is not cancelled
        and walk.state in MOVES["cancel"].sources
    )
    fails_order = is_last and not is_cancelled and walk.state in MOVES["fail"].sources
    event = e.PaymentFailed(
        payment=held.payment, code=code, message=told.failure_message, fails_order=fails_order
    )
    if fails_order:
        walk.make("fail", event)
    else:
        walk.note(event)
    if is_cancelled:
        walk.make("cancel", e.OrderCancelled(reason="confirmed by the provider"))


def _refund_steps(walk: _Walk, held: Held, told: Snapshot) -> None:
    for refund in told.refunds:
        was = held.refunds.get(refund.ref or "", "")
        if was and refund.status is RefundStatus.FAILED and was != RefundStatus.FAILED:
            failed = e.RefundFailed(
                payment=held.payment, refund=str(refund.ref), amount=refund.amount
            )
            walk.note(failed)
    changed = told.refunded - held.refunded
    if changed == 0:
        return
    event = e.RefundChanged(payment=held.payment, refunded=held.order_refunded + changed)
    if walk.state in MOVES["refund_changed"].sources:
        to = settled_state(_captured(held, told), event.refunded)
        walk.make("refund_changed", event, to=to)
    else:
        walk.note(event)  # money given back for a closed, disputed or unpaid order: known, no state
    over = _captured(held, told) - event.refunded - held.order_total
    if changed < 0 and over > 0:  # what was to go back is still here; the rest was paid meanwhile
        walk.note(flag("overpaid", f"{over} {held.currency} more than the order's total is here"))


def _dispute_steps(walk: _Walk, held: Held, told: Snapshot) -> None:
    if (told.dispute or "") == held.dispute:
        return
    opened = e.DisputeOpened(payment=held.payment, disputed=told.disputed or told.captured)
    if told.dispute is None:
        walk.illegal = walk.illegal or "the provider no longer knows of the dispute"
        return
    if not held.dispute:
        walk.make("open_dispute", opened)
    elif held.dispute != DisputeStatus.OPEN:
        walk.illegal = walk.illegal or f"a dispute that was {held.dispute} is now {told.dispute}"
        return
    if told.dispute is DisputeStatus.WON:
        refunded = held.order_refunded + told.refunded - held.refunded
        to = settled_state(_captured(held, told), refunded)
        walk.make("win_dispute", e.DisputeWon(payment=held.payment), to=to)
    elif told.dispute is DisputeStatus.LOST:
        lost = e.DisputeLost(payment=held.payment, disputed=told.disputed or told.captured)
        walk.make("lose_dispute", lost)


def flag(reason: str, detail: str) -> e.OrderFlagged:
    """The event that calls a person."""
    return e.OrderFlagged(reason=reason, detail=detail)
