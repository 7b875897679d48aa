"""The only writer of the journal and of the order rows that are its projection.

Limit: the journal protects streams, not intentions. It refuses a write outside a transaction or on an order that is
not locked, but it writes down whatever move the state machine allows; deciding is `orders.commands`' work.
"""

import json
from dataclasses import replace
from typing import Any

from django.db import connection
from django_fsm.signals import post_transition

from orders import clock
from orders.domain import events, projection
from orders.domain.cause import Cause
from orders.domain.errors import NotInTransaction, NotLocked, ProjectionDisagrees
from orders.domain.states import State
from orders.journal.facts import facts_of
from orders.models import JournalEpoch, Order, OrderEvent
from orders.models.rows import execute
from orders.signals import order_event_recorded


def listen() -> None:
    """Append an event for each transition that django-fsm has made."""
    post_transition.connect(_on_transition, sender=Order, dispatch_uid="orders.journal.writer")


def open_stream(order: Order, event: events.OrderCreated, cause: Cause) -> events.EventRecord:
    """Write a new order and its first event. Raises `NotInTransaction`."""
    _refuse_outside_transaction(order)
    facts = projection.fold(projection.Facts(), event)
    order.total, order.currency, order.expires_at = facts.total, facts.currency, facts.expires_at
    order.version = 1
    order.save(force_insert=True)
    order.is_locked, order.epoch = True, JournalEpoch.current()
    row = OrderEvent.objects.create(
        order=order,
        version=order.version,
        type=event.type,
        schema=event.schema,
        data=events.encode(event),
        state=order.state,
        facts=facts.public(),
        source=cause.source,
        actor=cause.actor,
        at=order.changed_at,
    )
    return _tell(order, event, row.data, row.facts, cause)


def record(order: Order, event: events.Event, cause: Cause) -> events.EventRecord:
    """Append an event that comes with no transition, or has just come with one, and save the order.

    `order` must come from `Order.objects.locked`. Raises `NotInTransaction`, `NotLocked`, `ProjectionDisagrees`.
    """
    _refuse_outside_transaction(order)
    if not order.is_locked:
        raise NotLocked(
            f"Order {order.ref} is not locked: load it with Order.objects.locked({order.ref!r})."
        )
    facts = projection.fold(_facts_before(order), event)
    if facts.state != order.state:
        raise ProjectionDisagrees(
            f"Order {order.ref}: {event.type} folds to {facts.state}, the state machine says {order.state}."
        )
    return _advance(order, event, facts, cause)


def _on_transition(
    instance: Order, source: str, method_args: tuple[Any, ...], **_rest: object
) -> None:
    event, cause = method_args
    instance.state_before = source
    try:
        record(instance, event, cause)
    except Exception:
        # django-fsm has already set the new state in memory; it must not outlive a refusal.
        instance.__dict__["state"] = source
        raise
    finally:
        instance.state_before = None


def _facts_before(order: Order) -> projection.Facts:
    facts = facts_of(order)
    if order.state_before is None:
        return facts
    return replace(facts, state=State(order.state_before))


def _refuse_outside_transaction(order: Order) -> None:
    if not connection.in_atomic_block:
        raise NotInTransaction(
            f"Order {order.ref} can only change inside transaction.atomic(), on a locked row."
        )


def _advance(
    order: Order, event: events.Event, facts: projection.Facts, cause: Cause
) -> events.EventRecord:
    """Save the order and append the event in one statement: half the way of two, and all of it or nothing."""
    values = facts.row() | {"version": order.version + 1, "changed_at": clock.now()}
    data, public = events.encode(event), facts.public()
    parameters = {
        **values,
        "state": str(order.state),
        "flags": json.dumps(values["flags"]),
        "id": order.pk,
        "held": order.version,
        "type": event.type,
        "schema": event.schema,
        "data": json.dumps(data),
        "facts": json.dumps(public),
        "source": str(cause.source),
        "actor": cause.actor,
    }
    if execute(_ADVANCE, parameters) != 1:
        raise NotLocked(f"Order {order.ref} moved past version {order.version} meanwhile.")
    # Only now: a version raised before the refusal would fit the row at the second try, and overwrite it.
    values.pop("state")
    for name, value in values.items():
        setattr(order, name, value)
    return _tell(order, event, data, public, cause)


# The lock already decides races; the version in WHERE makes a lost lock an error instead of a lost update.
_ADVANCE = """
WITH moved AS (
    UPDATE orders_order
       SET state = %(state)s, version = %(version)s, total = %(total)s, currency = %(currency)s,
           captured = %(captured)s, refunded = %(refunded)s, disputed = %(disputed)s, flags = %(flags)s,
           needs_review = %(needs_review)s, is_cancelling = %(is_cancelling)s, expires_at = %(expires_at)s,
           changed_at = %(changed_at)s
     WHERE id = %(id)s AND version = %(held)s
 RETURNING id
)
INSERT INTO orders_orderevent (order_id, version, type, schema, data, state, facts, source, actor, at)
SELECT id, %(version)s, %(type)s, %(schema)s, %(data)s::jsonb, %(state)s, %(facts)s::jsonb, %(source)s, %(actor)s,
       %(changed_at)s
  FROM moved
"""


def _tell(
    order: Order, event: events.Event, data: dict[str, Any], public: dict[str, Any], cause: Cause
) -> events.EventRecord:
    """Send the signal that an event was appended."""
    written = events.EventRecord(
        order=order.ref,
        epoch=order.epoch,
        version=order.version,
        type=event.type,
        state=str(order.state),
        data=data,
        facts=public,
        source=str(cause.source),
        actor=cause.actor,
        at=order.changed_at,
    )
    order_event_recorded.send(sender=Order, record=written)
    return written
