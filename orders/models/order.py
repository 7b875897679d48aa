"""Orders and their journal. An order row is a projection of its events.

Nothing here decides: the moves of `Order` are django-fsm transitions whose legality is the table in `states`.
"""

import secrets
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, cast

import pgtrigger
from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django_fsm import RETURN_VALUE, FSMField, FSMModelMixin, TransitionNotAllowed, transition

from orders import clock
from orders.database.contention import one_of_few
from orders.domain import events as e
from orders.domain.cause import Cause
from orders.domain.errors import IllegalMove, OrderNotFound
from orders.domain.states import MOVES, UNPAID, State, legal_moves, settled_state
from orders.models.rows import Rows, fetch

Method = TypeVar("Method", bound=Callable[..., Any])


def new_ref() -> str:
    """A reference that cannot be guessed: 32 lower-case hex characters."""
    return uuid.uuid4().hex


def new_epoch() -> str:
    """A random word that names one life of the journal."""
    return secrets.token_hex(4)


# In every statement that reads the journal, so that what it reads and the epoch are of one moment.
EPOCH = "(SELECT word FROM orders_journalepoch LIMIT 1)"


class JournalEpoch(models.Model):
    """One row: the word that changes when the journal is restored, so that every page starts again."""

    word = models.CharField(max_length=16, default=new_epoch)

    def __str__(self) -> str:
        return self.word

    @classmethod
    def current(cls) -> str:
        """The word that names this life of the journal."""
        row = fetch(f"SELECT {EPOCH}", [])
        assert row is not None  # noqa: S101 — a SELECT without FROM has one row
        return str(row[0])


class OrderQuerySet(models.QuerySet["Order"]):
    def locked(self, ref: str) -> "Order":
        """The order, its row locked until the transaction ends. Raises `OrderNotFound`.

        The journal writes only to an order that was locked here, or together with its payment by
        `orders.journal.statements`.
        """
        with one_of_few(ref):
            row = fetch(_lock(), [ref])
        if row is None:
            raise OrderNotFound(ref)
        return take_locked(iter(row))


@cache
def rows() -> Rows["Order"]:
    return Rows(Order, "o")


@cache
def _lock() -> str:
    return f"SELECT {locked_columns()} FROM orders_order o WHERE o.ref = %s FOR NO KEY UPDATE"  # noqa: S608 — names of ours


def locked_columns() -> str:
    """What a statement that locks an order (called `o`) selects for `take_locked`."""
    return f"{EPOCH}, {rows().columns}"


def take_locked(row: Iterator[Any]) -> "Order":
    """The order of a row of `locked_columns`. Only for a statement that has locked it."""
    epoch = next(row)
    order = rows().take(row)
    order.is_locked, order.epoch = True, epoch
    return order


def move(name: str) -> Callable[[Method], Method]:
    """A django-fsm transition whose sources and targets stand in `states.MOVES`."""
    row = MOVES[name]
    targets = sorted(row.targets)
    target = targets[0] if len(targets) == 1 else RETURN_VALUE(*targets)
    return cast(
        "Callable[[Method], Method]",
        transition("state", source=sorted(row.sources), target=target),
    )


class Order(FSMModelMixin, models.Model):
    """What is to be paid, and where its money stands. Amounts in minor units."""

    ref = models.CharField(max_length=32, unique=True, default=new_ref, editable=False)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="orders",
    )
    metadata = models.JSONField(default=dict, blank=True)
    # A key belongs to who sent it: another's request must not find the order.
    idempotency_scope = models.CharField(max_length=220, blank=True, db_default="", editable=False)
    idempotency_key = models.CharField(max_length=255, null=True, editable=False)  # noqa: DJ001 — NULL is "none", and unique
    request_hash = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    # From here on: the projection. Only the journal writes these.
    state = FSMField(
        default=State.CREATED,
        protected=True,
        choices=[(s.value, s.value.replace("_", " ")) for s in State],
    )
    version = models.PositiveIntegerField(default=0, editable=False)
    total = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    captured = models.BigIntegerField(default=0)
    refunded = models.BigIntegerField(default=0)
    disputed = models.BigIntegerField(default=0)
    flags = models.JSONField(default=list)
    needs_review = models.BooleanField(default=False)
    is_cancelling = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(default=clock.now, editable=False)

    objects: ClassVar[models.Manager[Self]] = OrderQuerySet.as_manager()

    is_locked = False  # set by take_locked, asked by the journal
    epoch = ""  # set by take_locked, for the events to carry
    state_before: str | None = None  # while a transition is being written down: where it came from

    class Meta:
        permissions = [("refresh_order", "Can force a refresh from the payment provider")]
        indexes = [
            models.Index(fields=["state", "-id"], name="order_state"),
            models.Index(fields=["-id"], name="order_review", condition=Q(needs_review=True)),
            models.Index(
                fields=["idempotency_key"],
                name="order_key",  # support has the key, and not always its sender
                condition=Q(idempotency_key__isnull=False),
            ),
            BrinIndex(
                fields=["created_at"], name="order_created", pages_per_range=16, autosummarize=True
            ),
            models.Index(
                fields=["expires_at"],
                name="order_deadline",
                condition=Q(state__in=[State.CREATED, State.AWAITING_PAYMENT, State.FAILED]),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_scope", "idempotency_key"], name="order_idempotency"
            ),
            models.CheckConstraint(condition=Q(total__gt=0), name="order_total_positive"),
            models.CheckConstraint(
                condition=Q(captured__gte=0, refunded__gte=0), name="order_amounts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ref} ({self.state})"

    def is_past_deadline(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def is_payable(self, now: datetime) -> bool:
        """Whether a payment may be begun, or gone on with. The worker that expires orders may be late, or away."""
        is_wanted = self.state in UNPAID and not self.is_cancelling
        return is_wanted and not self.is_past_deadline(now)

    def make(self, name: str, event: e.Event, cause: Cause) -> None:
        """Make the move called `name` with the event that says why.

        Raises `IllegalMove`, naming the order, its state, the move and what would be legal.
        """
        try:
            getattr(self, name)(event, cause)
        except TransitionNotAllowed as refused:
            raise IllegalMove(self.ref, self.state, name, legal_moves(self.state)) from refused

    @move("start")
    def start(self, event: e.PaymentStarted, cause: Cause) -> None: ...

    @move("process")
    def process(self, event: e.PaymentProcessing, cause: Cause) -> None: ...

    @move("authorise")
    def authorise(self, event: e.PaymentAuthorised, cause: Cause) -> None: ...

    @move("pay")
    def pay(self, event: e.PaymentCaptured, cause: Cause) -> None: ...

    @move("fail")
    def fail(self, event: e.PaymentFailed, cause: Cause) -> None: ...

    @move("cancel")
    def cancel(self, event: e.OrderCancelled, cause: Cause) -> None: ...

    @move("expire")
    def expire(self, event: e.OrderExpired, cause: Cause) -> None: ...

    @move("refund_changed")
    def refund_changed(self, event: e.RefundChanged, cause: Cause) -> State:
        return settled_state(self.captured, event.refunded)

    @move("open_dispute")
    def open_dispute(self, event: e.DisputeOpened, cause: Cause) -> None: ...

    @move("win_dispute")
    def win_dispute(self, event: e.DisputeWon, cause: Cause) -> State:
        return settled_state(self.captured, self.refunded)

    @move("lose_dispute")
    def lose_dispute(self, event: e.DisputeLost, cause: Cause) -> None: ...

    @move("accept_late_payment")
    def accept_late_payment(self, event: e.LatePaymentAccepted, cause: Cause) -> None: ...


class OrderEvent(models.Model):
    """The journal. `id` is the position in it; (order, version) the place within one order's stream.

    PostgreSQL itself refuses UPDATE, DELETE and TRUNCATE.
    """

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="events", db_index=False
    )
    version = models.PositiveIntegerField()
    type = models.CharField(max_length=64)
    schema = models.PositiveSmallIntegerField(default=1)
    data = models.JSONField()
    state = models.CharField(max_length=50)
    facts = models.JSONField()
    source = models.CharField(max_length=16)
    actor = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "version"], name="event_version")]
        # Rows come in the order of their times, so a few bytes for each stretch of pages find the last hour.
        indexes = [
            BrinIndex(fields=["at"], name="event_at", pages_per_range=16, autosummarize=True)
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="no_truncate",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'pgtrigger: Cannot truncate rows from % table', TG_TABLE_NAME;",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}:{self.version} {self.type}"
