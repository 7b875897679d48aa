"""Forced refreshes: staff want orders to be asked about, each is asked about once, and what came of it is kept.

A run is rows, committed before anybody is asked to work on it (`refresh_wanted`). Whoever works claims one row at a
time, so two workers, a worker and an impatient person, or a worker that died and another are all harmless. Limit: a row
whose worker died is asked about again after `LEASE`; asking twice changes nothing.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from orders import clock
from orders.commands import refresh
from orders.database import UNAVAILABLE, reason
from orders.domain.cause import Cause, Source
from orders.domain.errors import OrderError
from orders.domain.outcomes import Found
from orders.models import Order, RefreshItem, RefreshRun
from orders.payments.registry import UnknownProvider
from orders.security import audit
from orders.signals import refresh_wanted

log = logging.getLogger(__name__)

ACTION = "admin_force_refresh"
TOO_SOON = "asked_lately"  # the audit's word for an order that was refused
LEASE = timedelta(minutes=2)  # longer than a provider's timeout for a few payments
Status = RefreshItem.Status


def want(orders: Iterable[int], cause: Cause) -> RefreshRun:
    """Write down that these orders (primary keys) are to be asked about; each one, unless it was a moment ago.

    The cooldown (`ORDERCAST_REFRESH_COOLDOWN`) counts for an order, whoever asks.
    """
    with transaction.atomic():
        now = clock.now()
        run = RefreshRun.objects.create(actor=cause.actor, reason=cause.reason, at=now)
        # Locked in one order: of two people who press at once, the second sees what the first has wanted.
        rows = list(Order.objects.filter(pk__in=list(orders)).order_by("pk").select_for_update())
        free = _cooling([order.pk for order in rows], now)
        items = RefreshItem.objects.bulk_create(_item(run, o, free.get(o.pk)) for o in rows)
        refresh_wanted.send(sender=RefreshRun, run_id=run.pk)
    for item in items:
        outcome = TOO_SOON if item.status == Status.REFUSED else audit.DONE
        audit.note(ACTION, cause, item.order.ref, outcome=outcome)
    return run


def _item(run: RefreshRun, order: Order, free_at: datetime | None) -> RefreshItem:
    return RefreshItem(
        run=run,
        order=order,
        wanted_at=run.at,
        was=order.state,
        state=order.state if free_at else "",
        status=Status.REFUSED if free_at else Status.WAITING,
        free_at=free_at,
        done_at=run.at if free_at else None,
    )


def _cooling(orders: Sequence[int], now: datetime) -> dict[int, datetime]:
    """When those of the orders that were wanted a moment ago may be wanted again."""
    pause = timedelta(seconds=settings.ORDERCAST_REFRESH_COOLDOWN)
    lately = RefreshItem.objects.filter(order__in=orders, wanted_at__gt=now - pause)
    taken = lately.exclude(status=Status.REFUSED).values_list("order_id", "wanted_at")
    free: dict[int, datetime] = {}
    for order, at in taken:
        free[order] = max(at + pause, free.get(order, at))
    return free


def carry_out(run_id: int | None = None) -> list[RefreshItem]:
    """Ask about everything that is open, of one run or of all, one after the other; returns what was done here."""
    done = []
    while (item := _claim(run_id)) is not None:
        _ask(item)
        done.append(item)
    return done


def is_anything_open(now: datetime) -> bool:
    return _open(now).exists()


def _open(now: datetime) -> "QuerySet[RefreshItem]":
    is_left = Q(status=Status.ASKING, claimed_at__lt=now - LEASE)
    return RefreshItem.objects.filter(Q(status=Status.WAITING) | is_left)


def _claim(run_id: int | None) -> RefreshItem | None:
    now = clock.now()
    open_items = _open(now) if run_id is None else _open(now).filter(run=run_id)
    with transaction.atomic():
        item = open_items.order_by("pk").select_for_update(skip_locked=True).first()
        if item is not None:
            item.status, item.claimed_at = Status.ASKING, now
            item.save(update_fields=["status", "claimed_at"])
    return item


def _ask(item: RefreshItem) -> None:
    run = item.run
    try:
        looks = refresh.refresh_order(
            item.order.ref, cause=Cause(Source.STAFF, run.actor, run.reason)
        )
        item.results = [[look.payment, look.found, look.detail] for look in looks]
    except (OrderError, UnknownProvider) as refused:
        item.results = [["", Found.REFUSED, str(refused)]]
    except (
        UNAVAILABLE
    ) as error:  # locked by somebody; where the database is away, what follows says so
        log.warning("forced refresh of order %s failed, order busy: %s", item.order.ref, error)
        item.results = [["", "left", reason(error).meaning]]
    except (
        Exception
    ):  # one order's defect must not keep the others of the run from being asked about
        log.exception("forced refresh of order %s failed", item.order.ref)
        item.results = [["", Found.ERROR, "see the log"]]
    item.state = Order.objects.values_list("state", flat=True).get(pk=item.order_id)
    item.status, item.done_at = Status.DONE, clock.now()
    item.save(update_fields=["results", "state", "status", "done_at"])
