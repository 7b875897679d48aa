"""Who asked for which write, from where and why, and whether it was done. Kept as rows, and said in the log.

Where it came from is known from the log's context, which `backend.http.gateway` binds for each request. Limit: what is
refused to guests, customers and whoever is not known is in the log alone, so that strangers cannot fill a table. While
the database is away, the log alone says that something was tried.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import transaction

from orders.database import UNAVAILABLE
from orders.domain.cause import Cause
from orders.domain.errors import OrderError
from orders.domain.events import EventRecord
from orders.models import AuditEntry, Order
from orders.signals import order_event_recorded

log = structlog.stdlib.get_logger(__name__)
DONE = "done"


@dataclass
class Write:
    """One write under way; `order` may become known only inside."""

    order: str = ""


@contextmanager
def write(action: str, cause: Cause, order: str = "") -> Iterator[Write]:
    """Note what runs inside: done, or refused with the code of its `OrderError`. Not inside a transaction: a refusal
    must not be rolled back with what it refuses."""
    under_way = Write(order)
    try:
        yield under_way
    except OrderError as refused:
        note(action, cause, under_way.order, outcome=refused.code, detail=str(refused))
        raise
    note(action, cause, under_way.order)


def note(
    action: str,
    cause: Cause,
    order: str = "",
    *,
    outcome: str = DONE,
    detail: str = "",
    is_kept: bool = True,
) -> None:
    """Say it in the log, and keep an entry. Never raises for a database that is away."""
    context = structlog.contextvars.get_contextvars()
    where = {name: str(context.get(name, ""))[:64] for name in ("address", "request_id")}
    say = log.info if outcome == DONE else log.warning
    say(
        f"{action} {outcome}",
        order=order,
        actor=cause.actor,
        source=str(cause.source),
        reason=cause.reason,
    )
    if not is_kept:
        return
    try:
        AuditEntry.objects.create(
            action=action,
            order=order[:32],
            source=cause.source,
            actor=cause.actor[:200],
            reason=cause.reason[:500],
            outcome=outcome,
            detail=detail[:500],
            **where,
        )
    except UNAVAILABLE as error:
        log.error(
            "writing an audit entry failed, this line is its only record",
            action=action,
            error=str(error),
        )


def listen() -> None:
    """Say each event in the log, once it is committed."""
    order_event_recorded.connect(_say, sender=Order, dispatch_uid="orders.security.audit")


def _say(record: EventRecord, **_rest: Any) -> None:
    facts = {
        "event_id": record.id,
        "order": record.order,
        "state": record.state,
        "source": record.source,
        "actor": record.actor,
    }
    transaction.on_commit(lambda: log.info("recorded %s", record.type, **facts), robust=True)
