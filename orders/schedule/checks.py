"""When each payment is looked at next, and the log of every check.

`Payment.next_check_at` is both the timetable and the lease: who claims a payment moves it into the near future, so
that a second worker passes it by, and a dead worker's claim runs out by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from orders.domain.cause import Cause, Source
from orders.domain.outcomes import ANSWERED, Found
from orders.domain.payment_status import DEAD, OPEN_REFUND, OwnStatus
from orders.models import Payment, PaymentCheck
from orders.payments.base import DisputeStatus, PaymentStatus
from orders.schedule.profiles import LEASE, QUIET, Profile, next_check, postponed

_rng = Random()  # noqa: S311 — spreads load, keeps no secret
NEVER_SENT = "never_sent"  # the failure code of a create that was lost, and may still be on its way


@dataclass(frozen=True)
class Claim:
    """A payment that is ours to look at until `until`."""

    payment_id: int
    provider: str
    until: datetime


def profile_of(payment: Payment) -> Profile | None:
    """Which timetable the payment follows; None when there is nothing left to look for."""
    match payment.status:
        case OwnStatus.INTENDED:
            return Profile.UNKNOWN
        case PaymentStatus.PENDING | PaymentStatus.PROCESSING:
            return Profile.OFFLINE if payment.is_offline else Profile.WAITING
        case PaymentStatus.AUTHORISED:
            of_refunds = _profile_of_money_taken(payment) if payment.captured else None
            return of_refunds or Profile.AUTHORISED
        case PaymentStatus.FAILED if _may_live_again(payment):
            return Profile.FAILED
    return _profile_of_money_taken(payment)


def _profile_of_money_taken(payment: Payment) -> Profile | None:
    open_refunds = payment.refunds.filter(status__in=OPEN_REFUND)
    statuses = set(open_refunds.values_list("status", flat=True))
    if OwnStatus.INTENDED in statuses:
        return Profile.UNKNOWN
    is_disputed = payment.dispute == DisputeStatus.OPEN
    return Profile.REFUND if statuses or is_disputed else None


def _may_live_again(payment: Payment) -> bool:
    """Not where the provider refused to make it: there is nothing at the provider that could be paid."""
    return bool(payment.provider_ref) or payment.failure_code == NEVER_SENT


def schedule(payment: Payment, now: datetime) -> None:
    """Begin the payment's timetable anew; the caller saves it."""
    profile = profile_of(payment)
    payment.step = 0
    payment.profile = profile or payment.profile
    payment.next_check_at = profile and _next(payment, profile, now)


def _next(payment: Payment, profile: Profile, now: datetime) -> datetime | None:
    has_hold = profile is Profile.AUTHORISED and payment.hold_ends_at is not None
    return next_check(
        profile,
        payment.step,
        now,
        scale=settings.ORDERCAST_CHECK_TIME_SCALE,
        rng=_rng,
        hold=(payment.changed_at, payment.hold_ends_at) if has_hold else None,  # type: ignore[arg-type] # has_hold says so
    )


def claim_due(
    now: datetime, limit: int, *, provider: str | None = None, excluding: Sequence[str] = ()
) -> list[Claim]:
    """Claim up to `limit` payments that are due, the longest waiting first, passing by those another has locked."""
    until = now + LEASE
    due = Payment.objects.filter(next_check_at__lte=now).exclude(provider__in=excluding)
    if provider is not None:
        due = due.filter(provider=provider)
    with transaction.atomic():
        rows = due.order_by("next_check_at").select_for_update(skip_locked=True)
        found = list(rows.values_list("pk", "provider")[:limit])
        Payment.objects.filter(pk__in=[pk for pk, _ in found]).update(next_check_at=until)
    return [Claim(pk, name, until) for pk, name in found]


def bring_forward(payments: "QuerySet[Payment]", now: datetime) -> int:
    """Their next check is due now; returns of how many. Passes by those that somebody has locked: one of them must not
    hold up the others, and whoever has it is looking at it."""
    with transaction.atomic():
        rows = payments.select_for_update(skip_locked=True, no_key=True, of=("self",))
        found = list(rows.values_list("pk", flat=True))
        return Payment.objects.filter(pk__in=found).update(next_check_at=now)


def count_due(now: datetime, limit: int, provider: str) -> int:
    """How many payments of the provider are due, counted to `limit` at most."""
    due = Payment.objects.filter(next_check_at__lte=now, provider=provider)
    return due[:limit].count()


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one check at a provider found. `is_attempt` is False for an outage or a 429: those use nothing up."""

    found: Found
    detail: str = ""
    is_attempt: bool = True
    retry_after: float | None = None
    took_ms: int = 0


def record_check(
    payment_id: int, result: CheckResult, cause: Cause, now: datetime, claim: Claim | None
) -> bool:
    """Log the check and set the next one. True when the profile has ended: the caller flags the order.

    Limit: a check that was not claimed (staff, API) is logged and leaves the timetable as it is.
    """
    with transaction.atomic():
        PaymentCheck.objects.create(
            payment_id=payment_id,
            checked_at=now,
            source=cause.source,
            actor=cause.actor,
            found=result.found,
            detail=_with_reason(result.detail, cause)[:500],
            took_ms=result.took_ms,
        )
        payment = Payment.objects.select_for_update().get(pk=payment_id)
        payment.last_checked_at = now
        # If it is no longer what we claimed, a callback has moved or hurried it meanwhile: that time stands.
        is_ours = claim is not None and payment.next_check_at == claim.until
        is_over = is_ours and _advance(payment, result, now)
        payment.save(update_fields=["last_checked_at", "next_check_at", "step", "profile"])
    return is_over


def _with_reason(detail: str, cause: Cause) -> str:
    """What was found, and for a look that somebody asked for, why they did."""
    if not cause.reason or cause.source is Source.RECONCILER:
        return detail
    return f"{detail[:190]} · {cause.reason}" if detail else cause.reason


def _advance(payment: Payment, result: CheckResult, now: datetime) -> bool:
    if not result.is_attempt:
        # Also of a payment that is closed: somebody has heard of a change, and has still to be told which.
        scale = settings.ORDERCAST_CHECK_TIME_SCALE
        payment.next_check_at = postponed(now, result.retry_after, scale=scale, rng=_rng)
        return False
    profile = profile_of(payment)
    # Of an attempt that came to nothing, nothing is missed.
    if profile is None and (result.found in ANSWERED or payment.status in DEAD):
        payment.next_check_at = None
        return False
    profile = payment.profile = profile or Profile.UNKNOWN
    payment.step += 1
    payment.next_check_at = _next(payment, profile, now)
    return payment.next_check_at is None and profile not in QUIET
