"""Why an order is in its state, and why nothing changes: what we know, from which source, and when the next check is.

Read from the rows in a few queries; asks no provider. The texts are in the active language, made by pure functions of
the values; the API's are English, as everything under /api/ is.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from orders import clock
from orders.domain.errors import OrderNotFound
from orders.domain.money import written
from orders.domain.states import UNPAID, State
from orders.models import CallbackReceipt, Order, OrderEvent, Payment, PaymentCheck
from orders.payments.base import RefundStatus
from orders.schedule.profiles import PROFILES, Profile
from orders.support import labels
from orders.support.explanation import (
    Explanation,
    LastLook,
    NextLook,
    PaymentStory,
    ReceiptStory,
    StandingFlag,
)
from orders.support.labels import Text
from orders.support.relative_time import ago, ahead

RECEIPTS = 20  # the newest that are listed

_POSTPONED = {"unavailable", "rate_limited"}
_STATE: Mapping[str, Text] = {
    State.CREATED: _("Order created %(ago)s."),
    State.AWAITING_PAYMENT: _("Payment started %(ago)s, not completed yet."),
    State.PROCESSING: _("Payment submitted %(ago)s, not confirmed by the bank yet."),
    State.AUTHORISED: _("Authorised %(ago)s, not yet captured."),
    State.PAID: _("Paid %(ago)s."),
    State.PARTIALLY_REFUNDED: _("Partially refunded %(ago)s."),
    State.REFUNDED: _("Refunded %(ago)s."),
    State.DISPUTED: _("Disputed %(ago)s."),
    State.CHARGED_BACK: _("Charged back %(ago)s."),
    State.FAILED: _("Payment failed %(ago)s."),
    State.CANCELLED: _("Cancelled %(ago)s."),
    State.EXPIRED: _("Expired %(ago)s."),
}
_WHY: Mapping[Profile, Text] = {
    Profile.WAITING: _("a customer is waiting"),
    Profile.UNKNOWN: _("a request to the provider was never answered"),
    Profile.OFFLINE: _("this payment method takes days to settle"),
    Profile.AUTHORISED: _("authorised, not yet captured"),
    Profile.REFUND: _("a refund or a dispute is open"),
    Profile.FAILED: _("the payment failed, and the customer may retry at the provider"),
}


def explain(ref: str) -> Explanation:
    """All of it for one order, in the active language. Raises `OrderNotFound`."""
    order = Order.objects.filter(ref=ref).first()
    if order is None:
        raise OrderNotFound(ref)
    now = clock.now()
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
        said_by=str(labels.source(moved.source)),
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
        words=str(labels.of(check.found)),
        detail=check.detail,
    )


def next_look(payment: Payment, last_found: str, now: datetime) -> NextLook:
    """When the payment is checked next, and why then."""
    profile = Profile(payment.profile)
    steps = len(PROFILES[profile])
    step = min(payment.step + 1, steps)
    if payment.next_check_at is None:
        words = _never(payment, steps)
    elif payment.next_check_at <= now:
        words = str(_WHY[profile])
    elif last_found in _POSTPONED:
        cause = labels.of(last_found)
        words = gettext("postponed without using up a step (%(cause)s)") % {"cause": cause}
    else:
        words = gettext("step %(step)d of %(steps)d (%(why)s)") % {
            "step": step,
            "steps": steps,
            "why": _WHY[profile],
        }
    return NextLook(at=payment.next_check_at, profile=profile, step=step, steps=steps, words=words)


def _never(payment: Payment, steps: int) -> str:
    if payment.step >= steps:
        return gettext(
            "No further check scheduled: all %(steps)d steps are done; staff can still force a refresh"
        ) % {"steps": steps}
    return gettext("No further check scheduled; nightly reconciliation still applies")


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
    """The paragraph's sentences: its state, what needs attention, callbacks, checks so far, and the next check.

    What was written down when it happened (a flag's detail) stays as it was written.
    """
    said = [
        str(_STATE[State(order.state)]) % {"ago": ago(now - moved.at)},
        gettext("Source: %(source)s.") % {"source": labels.source(moved.source)},
    ]
    said += [
        gettext("Needs attention: %(flag)s – %(detail)s.")
        % {"flag": labels.flag(flag.reason), "detail": flag.detail}
        for flag in flags
    ]
    if order.is_cancelling:
        said.append(gettext("Cancellation requested; waiting for the provider to confirm."))
    if not payments:
        said.append(gettext("No payment attempt yet, so there is no provider to check with."))
        return said
    if not receipts and order.state in UNPAID:
        said.append(gettext("No callback received yet."))
    return said + [each for payment in payments for each in _about(payment, order.currency, now)]


def _about(payment: PaymentStory, currency: str, now: datetime) -> list[str]:
    said = [
        gettext("Payment %(ref)s at %(provider)s: %(status)s.")
        % {
            "ref": payment.ref[:8],
            "provider": payment.provider,
            "status": labels.of(payment.status),
        }
    ]
    if payment.refunded_elsewhere > 0:
        amount = written(payment.refunded_elsewhere, currency)
        said.append(gettext("%(amount)s was refunded outside Ordercast.") % {"amount": amount})
    look = payment.last_look
    said.append(
        gettext("Last checked %(ago)s. Result: %(result)s.")
        % {"ago": ago(now - look.at), "result": look.words}
        if look
        else gettext("Not checked yet.")
    )
    coming = payment.next_look
    if coming.at is None:
        said.append(f"{coming.words}.")
    elif coming.at <= now:
        said.append(gettext("Next check due now: %(why)s.") % {"why": coming.words})
    else:
        when = ahead(coming.at - now)
        said.append(gettext("Next check %(when)s: %(why)s.") % {"when": when, "why": coming.words})
    return said
