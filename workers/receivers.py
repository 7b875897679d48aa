"""What a recorded event sets in motion once it is committed."""

from typing import Any

from django.db import transaction

from orders.domain.events import EventRecord
from orders.models import Order, RefreshRun
from orders.signals import order_event_recorded, refresh_wanted
from realtime.hub import local
from realtime.protocol.messages import encode_event
from realtime.pubsub.names import Hint
from workers import announcer, refresh_jobs


def connect() -> None:
    """Announce each event of an order after its commit, to the pages of this process directly and by Celery to all;
    enqueue the refreshes that staff have forced."""
    order_event_recorded.connect(_announce, sender=Order, dispatch_uid="workers.announce")
    refresh_wanted.connect(_enqueue_refresh, sender=RefreshRun, dispatch_uid="workers.refresh")


def _announce(record: EventRecord, **_rest: Any) -> None:
    hint = Hint(record.order, record.epoch, record.version, encode_event(record)).signed()
    # robust: a hint that fails must not keep other things from being done after the commit.
    transaction.on_commit(lambda: _deliver(hint), robust=True)


def _deliver(hint: Hint) -> None:
    """To the pages of this process directly, and by Celery to all: neither way waits for the other to work."""
    try:
        local.deliver(hint)
    finally:
        announcer.put(hint)


def _enqueue_refresh(run_id: int, **_rest: Any) -> None:
    transaction.on_commit(lambda: refresh_jobs.enqueue(run_id), robust=True)
