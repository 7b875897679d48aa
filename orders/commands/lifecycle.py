"""Making and cancelling orders. Each command loads, decides, records, in one transaction."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from orders import clock
from orders.domain import events
from orders.domain.cause import Cause
from orders.domain.errors import CannotCancel, IdempotencyConflict, IllegalMove, InvalidRequest
from orders.domain.payment_status import LIVE
from orders.domain.states import UNPAID, legal_moves
from orders.journal import search_index, writer
from orders.models import JournalEpoch, Order, Payment, new_epoch
from orders.payments.base import PaymentStatus
from orders.schedule.profiles import PROFILES, Profile


def create_order(
    *,
    total: int,
    currency: str,
    cause: Cause,
    metadata: Mapping[str, Any] | None = None,
    customer_id: int | None = None,
    expires_in: int | None = None,
    idempotency_key: str | None = None,
) -> tuple[Order, bool]:
    """A new order, or the one that this key made before; and whether it is new.

    `total` in minor units, `expires_in` in seconds. A key counts for its sender alone. Raises `IdempotencyConflict`.
    """
    request = [total, currency, metadata or {}, customer_id, expires_in]
    scope = f"{cause.source}:{cause.actor}"
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    if idempotency_key and (earlier := _made_before(scope, idempotency_key, digest)):
        return earlier, False
    deadline = clock.now() + timedelta(seconds=expires_in or settings.ORDERCAST_ORDER_LIFETIME)
    order = Order(
        customer_id=customer_id,
        metadata=dict(metadata or {}),
        idempotency_scope=scope,
        idempotency_key=idempotency_key,
        request_hash=digest,
    )
    event = events.OrderCreated(total=total, currency=currency, expires_at=deadline.isoformat())
    try:
        with transaction.atomic():
            writer.open_stream(order, event, cause)
            search_index.add(order)
    except IntegrityError:
        # Two requests with one key met: the database let one through, and the other gets its order.
        if idempotency_key and (earlier := _made_before(scope, idempotency_key, digest)):
            return earlier, False
        if customer_id and not get_user_model().objects.filter(pk=customer_id).exists():
            raise InvalidRequest(f"There is no user {customer_id} for `customer`.") from None
        raise
    return order, True


def _made_before(scope: str, key: str, digest: str) -> Order | None:
    order = Order.objects.filter(idempotency_scope=scope, idempotency_key=key).first()
    if order is not None and order.request_hash != digest:
        raise IdempotencyConflict(key)
    return order


@transaction.atomic
def intend_cancellation(ref: str, *, reason: str, cause: Cause) -> tuple[Order, list[Payment]]:
    """Cancel at once where nothing was ever sent; otherwise write the wish down and return the payments to call off.

    Raises `CannotCancel` once money has moved, `IllegalMove` where the order is closed already.
    """
    order = Order.objects.locked(ref)
    if order.captured:
        raise CannotCancel(f"Order {ref} is {order.state} and holds money: refund it instead.")
    if order.state not in UNPAID:
        raise IllegalMove(ref, order.state, "cancel", legal_moves(order.state))
    live = list(order.payments.filter(status__in=LIVE))
    if not live:
        order.make("cancel", events.OrderCancelled(reason=reason), cause)
        # An attempt that failed may be open at its provider for another try: the next tick calls it off.
        failed = order.payments.filter(status=PaymentStatus.FAILED).exclude(provider_ref="")
        failed.update(next_check_at=clock.now())
    elif not order.is_cancelling:
        writer.record(order, events.CancellationRequested(reason=reason), cause)
        # The call comes after the commit; should we die in between, the reconciler makes it.
        soon = clock.now() + PROFILES[Profile.UNKNOWN][0] * settings.ORDERCAST_CHECK_TIME_SCALE
        order.payments.filter(status__in=LIVE, next_check_at__gt=soon).update(next_check_at=soon)
    return order, live


def begin_epoch() -> str:
    """Give the journal a new epoch, as after a restore: every page starts again from a snapshot."""
    word = new_epoch()
    JournalEpoch.objects.update(word=word)
    return word
