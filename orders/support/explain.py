"""Why an order is as it is, and why nothing changes: what we know, who said so, what is looked at next and why then.

Read from the rows in a few queries; asks no provider. The words are made by pure functions of the values.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Sum
from django.utils import timezone

from orders.domain.errors import OrderNotFound
from orders.domain.money import written
from orders.domain.states import UNPAID
from orders.models import CallbackReceipt, Order, OrderEvent, Payment, PaymentCheck
from orders.payments.base import RefundStatus
from orders.schedule.profiles import DAY, HOUR, MINUTE, PROFILES, Profile
from orders.support.explanation import (
    Explanation,
    LastLook,
    NextLook,
    PaymentStory,
    ReceiptStory,
    StandingFlag,
)

RECEIPTS = 20  # the newest that are told

_SAID_BY = {
    "api": "a service of yours",
    "callback": "a callback of the provider",
    "reconciler": "the provider, when the reconciler asked it",
    "staff": "staff",
    "system": "Ordercast itself",
}
_FOUND = {
    "applied": "something new, which was applied",
    "nothing_new": "nothing new",
    "asking": "something out of step, so it is asked again",
    "conflict": "something that contradicts what we hold",
    "mismatch": "another amount, currency or reference than ours",
    "not_found": "that the provider does not know the payment",
    "unavailable": "no provider: it did not answer",
    "rate_limited": "no answer: the provider had been asked too often",
    "ambiguous": "no answer to a call that may have been done",
    "refused": "a refusal",
    "malformed": "an answer that makes no sense",
    "error": "a defect or a provider that is not configured",
}
_PUT_OFF = {"unavailable", "rate_limited"}
_WHY = {
    Profile.WAITING: "a customer is waiting",
    Profile.UNKNOWN: "a call of ours was never answered",
    Profile.OFFLINE: "this way of paying settles in days",
    Profile.AUTHORISED: "money is held and not taken",
    Profile.REFUND: "a refund or a dispute is open",
    Profile.FAILED: "it failed, and the customer may try again at the provider",
}


def explain(ref: str) -> Explanation:
    """All of it for one order. Raises `OrderNotFound`."""
    order = Order.objects.filter(ref=ref).first()
    if order is None:
        raise OrderNotFound(ref)
    now = timezone.now()
    moved = _last_move(order)
    flags = _standing(OrderEvent.objects.filter(order=order, type__in=_FLAGS).order_by("version"))
    payments = tuple(_story(p, now) for p in order.payments.order_by("pk"))
    receipts = tuple(_receipts(order))
    return Explanation(
        ref=order.ref,
        state=order.state,
        since=moved.at,
        event=moved.type,
        source=moved.source,
        actor=moved.actor,
        said_by=_SAID_BY.get(moved.source, moved.source),
        flags=flags,
        payments=payments,
        receipts=receipts,
        why=" ".join(_why(order, moved, flags, payments, receipts, now)),
    )


_FLAGS = ("order.flagged", "order.review_cleared")


def _last_move(order: Order) -> OrderEvent:
    """The event that brought the order into its present state: not one that merely noted something there."""
    newest_first = OrderEvent.objects.filter(order=order).order_by("-version")
    other = newest_first.exclude(state=order.state).values_list("version", flat=True).first() or 0
    return newest_first.filter(version__gt=other).order_by("version")[0]


def _standing(rows: Iterable[OrderEvent]) -> tuple[StandingFlag, ...]:
    standing: dict[str, StandingFlag] = {}
    for row in rows:
        if row.type == "order.flagged":
            reason = row.data["reason"]
            standing[reason] = StandingFlag(reason=reason, detail=row.data["detail"], at=row.at)
        else:
            for reason in row.data["cleared"]:
                standing.pop(reason, None)
    return tuple(standing.values())


def _story(payment: Payment, now: datetime) -> PaymentStory:
    check = PaymentCheck.objects.filter(payment=payment).order_by("-checked_at", "-pk").first()
    return PaymentStory(
        ref=payment.ref,
        provider=payment.provider,
        provider_ref=payment.provider_ref,
        status=payment.status,
        captured=payment.captured,
        refunded=payment.refunded,
        refunded_elsewhere=payment.refunded - _asked_for_here(payment),
        changed_at=payment.changed_at,
        last_look=_last_look(check) if check else None,
        next_look=next_look(payment, check.found if check else "", now),
    )


def _asked_for_here(payment: Payment) -> int:
    """Of what has gone back, what we asked for."""
    gone = payment.refunds.filter(status=RefundStatus.SUCCEEDED)
    return int(gone.aggregate(total=Sum("amount"))["total"] or 0)


def _last_look(check: PaymentCheck) -> LastLook:
    return LastLook(
        at=check.checked_at,
        source=check.source,
        actor=check.actor,
        found=check.found,
        words=_FOUND.get(check.found, check.found),
        detail=check.detail,
    )


def next_look(payment: Payment, last_found: str, now: datetime) -> NextLook:
    """When the payment is looked at next, and why then."""
    profile = Profile(payment.profile)
    steps = len(PROFILES[profile])
    step = min(payment.step + 1, steps)
    if payment.next_check_at is None:
        words = _never(payment, steps)
    elif payment.next_check_at <= now:
        words = f"now, with the next tick: {_WHY[profile]}"
    elif last_found in _PUT_OFF:
        words = f"put off without using up a step, because the last look found {_FOUND[last_found]}"
    else:
        words = f"step {step} of {steps}, because {_WHY[profile]}"
    return NextLook(at=payment.next_check_at, profile=profile, step=step, steps=steps, words=words)


def _never(payment: Payment, steps: int) -> str:
    if payment.step >= steps:
        return f"none is planned: all {steps} steps were taken; staff can still ask"
    return "none is planned: nothing is open here; the provider's nightly list is still compared"


def receipts_about(payments: Mapping[int, str], limit: int) -> list[CallbackReceipt]:
    """The newest receipts about the payments (key to reference), also those that came before one was known.

    Three questions, each with an index of its own: as one with ORs it would read every receipt there is.
    """
    early = CallbackReceipt.objects.filter(payment=None, merchant_ref__in=payments.values())
    known = CallbackReceipt.objects.filter(payment__in=payments).select_related("payment")
    found = [
        *known.order_by("-pk")[:limit],
        *early.filter(next_try_at__isnull=False).order_by("-pk")[:limit],
        *early.filter(next_try_at=None, needs_review=True).order_by("-pk")[:limit],
    ]
    return sorted(found, key=lambda row: row.received_at, reverse=True)[:limit]


def _receipts(order: Order) -> Sequence[ReceiptStory]:
    payments = dict(order.payments.values_list("pk", "ref"))
    return [
        ReceiptStory(
            received_at=row.received_at,
            kind=row.kind,
            outcome=row.outcome,
            detail=row.detail,
            deliveries=row.deliveries,
            needs_review=row.needs_review,
        )
        for row in receipts_about(payments, RECEIPTS)
    ]


def _why(
    order: Order,
    moved: OrderEvent,
    flags: Sequence[StandingFlag],
    payments: Sequence[PaymentStory],
    receipts: Sequence[ReceiptStory],
    now: datetime,
) -> list[str]:
    """The paragraph's sentences: where it stands, who is called, what was heard, what was asked, what comes."""
    state = order.state.replace("_", " ")
    who = _SAID_BY.get(moved.source, moved.source)
    said = [f"The order is {state} since {_ago(now - moved.at)} ago; that came from {who}."]
    said += [f"A person is called: {flag.detail} ({flag.reason})." for flag in flags]
    if order.is_cancelling:
        said.append("It is being cancelled, which the provider has yet to confirm.")
    if not payments:
        said.append("Nobody has tried to pay yet, so there is no provider to ask.")
        return said
    if not receipts and order.state in UNPAID:
        said.append("No callback has come for it.")
    return said + [each for payment in payments for each in _about(payment, order.currency, now)]


def _about(payment: PaymentStory, currency: str, now: datetime) -> list[str]:
    name = f"Payment {payment.ref[:8]} at {payment.provider} is {payment.status}"
    look = payment.last_look
    asked = (
        f"{name}; it was last looked at {_ago(now - look.at)} ago, which found {look.words}."
        if look
        else f"{name} and has not been looked at yet."
    )
    at = payment.next_look.at
    when = "" if at is None or at <= now else f"in {_ago(at - now)}, "
    said = [asked, f"Next look: {when}{payment.next_look.words}."]
    if payment.refunded_elsewhere > 0:
        amount = written(payment.refunded_elsewhere, currency)
        said.insert(1, f"{amount} of it went back without being asked for here.")
    return said


def _ago(span: timedelta) -> str:
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        count = span // unit
        if count:
            return f"{count} {name}{'s' if count > 1 else ''}"
    seconds = max(0, int(span.total_seconds()))
    return f"{seconds} second{'' if seconds == 1 else 's'}"
