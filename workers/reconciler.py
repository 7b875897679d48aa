"""The reconciler: fetches the payments that are due from their providers, and applies the answers.

Each tick costs what is due, not what exists. Two ticks at once are harmless: a payment is claimed by one of them.
Limit: pages learn of what a tick finds in the same way as of everything else; nothing is announced from here.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connection

from orders import clock
from orders.callbacks import intake
from orders.commands import expiry, refresh
from orders.commands.refresh import Refreshed
from orders.database import UNAVAILABLE, Reason, reason
from orders.domain.cause import Cause, Source
from orders.domain.errors import OrderError
from orders.domain.outcomes import Found
from orders.payments import registry
from orders.schedule import checks
from workers.guard import Guard

log = logging.getLogger(__name__)

RECONCILER = Cause(Source.RECONCILER, "reconciler")
PARALLEL_CHECKS = 8
BATCH = 100  # payments claimed at once: what PARALLEL_CHECKS threads finish well within the lease
LONGEST_TICK = timedelta(seconds=45)


@dataclass(frozen=True)
class Tick:
    """What one tick did: how many payments were found how, and what else was moved."""

    found: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    retried: int = 0

    @property
    def checked(self) -> int:
        return self.found.total()


def tick(report: Callable[[Refreshed], object] = lambda _: None) -> Tick:
    """Look at everything that is due now, or as much of it as budgets and one tick's time allow.

    `report` is called with each look, in the thread that made the tick.
    """
    ends_at = time.monotonic() + LONGEST_TICK.total_seconds()
    retried = len(intake.retry_unmatched(clock.now()))
    expired = _expire_overdue()
    found: Counter[str] = Counter()
    with ThreadPoolExecutor(PARALLEL_CHECKS, thread_name_prefix="reconciler") as pool:
        while time.monotonic() < ends_at:
            claims, wait = _claim_round()
            if claims:
                # Each in a copy of this thread's context, so that its lines in the log carry the same task.
                looks = [pool.submit(copy_context().run, _look, claim) for claim in claims]
                for look in looks:
                    looked = look.result()
                    found[looked.found] += 1
                    report(looked)
            elif wait is None:
                break
            else:
                time.sleep(wait)
    result = Tick(found, expired, retried)
    if result.checked or expired or retried:
        log.info(
            "checked %d payments: %s; expired %d orders; retried %d callbacks",
            result.checked,
            dict(found),
            expired,
            retried,
        )
    return result


def _claim_round() -> tuple[list[checks.Claim], float | None]:
    """What is due and may be asked now, of every provider; and the seconds until a spent budget gives more.

    A payment whose provider is no longer configured is claimed too: its look fails, is logged, and in the end a
    person is called.
    """
    now = clock.now()
    known = registry.names()
    claims = checks.claim_due(now, BATCH, excluding=known)
    waits = []
    for provider in known:
        due = checks.count_due(now, BATCH, provider)
        if not due:
            continue
        allowance = Guard(provider).allowance(due)
        if allowance.questions:
            claims += checks.claim_due(now, allowance.questions, provider=provider)
        elif allowance.wait is not None:
            waits.append(allowance.wait)
    return claims, min(waits, default=None)


def _look(claim: checks.Claim) -> Refreshed:
    # Behind slow ones it can wait in line for longer than it is ours.
    if clock.now() >= claim.until:
        said = "its claim ran out in line"
        return Refreshed(payment=str(claim.payment_id), found=Found.LEFT, detail=said, state="?")
    try:
        looked = refresh.refresh_payment(claim.payment_id, cause=RECONCILER, claim=claim)
    except (
        UNAVAILABLE
    ) as error:  # its row is locked, or the database away: the lease brings it back
        log.warning("check of payment %d postponed: %s", claim.payment_id, error)
        said = str(reason(error))
        return Refreshed(payment=str(claim.payment_id), found="left", detail=said, state="?")
    except Exception:  # one payment's defect must not keep the others from being looked at
        log.exception("check of payment %d failed, next at %s", claim.payment_id, claim.until)
        return Refreshed(
            payment=str(claim.payment_id), found=Found.ERROR, detail="see the log", state="?"
        )
    else:
        Guard(claim.provider).report(looked.found)
        return looked
    finally:
        connection.close()  # back to the pool: this thread will not serve a request that would do it


def _expire_overdue() -> int:
    now = clock.now()
    expiry.trigger_overdue(now)
    expired = 0
    for ref in expiry.overdue_orders(now, BATCH):
        try:
            expired += expiry.expire_order(ref, now=now, cause=RECONCILER)
        except OrderError as error:
            log.warning("expiring order %s failed: %s", ref, error)
        except UNAVAILABLE as error:
            if reason(error) is not Reason.BUSY:
                raise
            log.warning("order %s is locked, expiring it later: %s", ref, error)
    return expired
