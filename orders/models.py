"""The tables. An order row is a projection of its events; the journal is the only writer of both.

Nothing here decides: the moves of `Order` are django-fsm transitions whose legality is the table in `states`.
"""

import secrets
import uuid
from typing import Any, ClassVar, Self

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_fsm import RETURN_VALUE, FSMField, FSMModelMixin, TransitionNotAllowed, transition

from orders import events
from orders.cause import Cause
from orders.errors import IllegalMove, OrderNotFound
from orders.states import MOVES, State, legal_moves, settled_state


def new_ref() -> str:
    """A reference that cannot be guessed: 32 lower-case hex characters."""
    return uuid.uuid4().hex


def new_epoch() -> str:
    """A random word that names one life of the journal."""
    return secrets.token_hex(4)


class JournalEpoch(models.Model):
    """One row: the word that changes when the journal is restored, so that every page starts again."""

    word = models.CharField(max_length=16, default=new_epoch)

    def __str__(self) -> str:
        return self.word


class OrderQuerySet(models.QuerySet["Order"]):
    def locked(self, ref: str) -> "Order":
        """The order, its row locked until the transaction ends. Raises `OrderNotFound`.

        The journal writes only to an order that was loaded here.
        """
        epoch = models.Subquery(JournalEpoch.objects.values("word")[:1])
        try:
            order = self.select_for_update(of=("self",)).annotate(epoch=epoch).get(ref=ref)
        except Order.DoesNotExist:
            raise OrderNotFound(ref) from None
        order.is_locked = True
        return order


def move(name: str, target: State | None = None) -> Any:
    """A django-fsm transition whose sources, and target unless given, stand in `states.MOVES`."""
    row = MOVES[name]
    goal: Any = RETURN_VALUE(*sorted(row.targets))
    if target is not None or len(row.targets) == 1:
        goal = target or next(iter(row.targets))
    return transition("state", source=sorted(row.sources), target=goal)


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
    idempotency_key = models.CharField(max_length=255, null=True, unique=True, editable=False)  # noqa: DJ001 — NULL is "none", and unique
    request_hash = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

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
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[models.Manager[Self]] = OrderQuerySet.as_manager()  # type: ignore[assignment]

    is_locked = False  # set by OrderQuerySet.locked, asked by the journal
    epoch = ""  # annotated by OrderQuerySet.locked
    state_before: str | None = None  # while a transition is being written down: where it came from

    class Meta:
        permissions = [("refresh_order", "Can force a refresh from the payment provider")]
        indexes = [
            models.Index(fields=["state", "-id"], name="order_state"),
            models.Index(
                fields=["-changed_at"], name="order_review", condition=Q(needs_review=True)
            ),
            models.Index(
                fields=["expires_at"],
                name="order_deadline",
                condition=Q(state__in=[State.CREATED, State.AWAITING_PAYMENT, State.FAILED]),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(total__gt=0), name="order_total_positive"),
            models.CheckConstraint(
                condition=Q(captured__gte=0, refunded__gte=0), name="order_amounts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ref} ({self.state})"

    def make(self, name: str, event: events.Event, cause: Cause) -> None:
        """Make the move called `name` with the event that says why.

        Raises `IllegalMove`, naming the order, its state, the move and what would be legal.
        """
        try:
            getattr(self, name)(event, cause)
        except TransitionNotAllowed as refused:
            raise IllegalMove(self.ref, self.state, name, legal_moves(self.state)) from refused

    @move("start")
    def start(self, event: events.PaymentStarted, cause: Cause) -> None: ...

    @move("process")
    def process(self, event: events.PaymentProcessing, cause: Cause) -> None: ...

    @move("authorise")
    def authorise(self, event: events.PaymentAuthorised, cause: Cause) -> None: ...

    @move("pay")
    def pay(self, event: events.PaymentCaptured, cause: Cause) -> None: ...

    @move("fail")
    def fail(self, event: events.PaymentFailed, cause: Cause) -> None: ...

    @move("cancel")
    def cancel(self, event: events.OrderCancelled, cause: Cause) -> None: ...

    @move("expire")
    def expire(self, event: events.OrderExpired, cause: Cause) -> None: ...

    @move("refund_changed")
    def refund_changed(self, event: events.RefundChanged, cause: Cause) -> State:
        return settled_state(self.captured, event.refunded)

    @move("open_dispute")
    def open_dispute(self, event: events.DisputeOpened, cause: Cause) -> None: ...

    @move("win_dispute")
    def win_dispute(self, event: events.DisputeWon, cause: Cause) -> State:
        return settled_state(self.captured, self.refunded)

    @move("lose_dispute")
    def lose_dispute(self, event: events.DisputeLost, cause: Cause) -> None: ...

    @move("accept_late_payment")
    def accept_late_payment(self, event: events.LatePaymentAccepted, cause: Cause) -> None: ...


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


class Payment(models.Model):
    """One attempt to pay an order at a provider, and when to look at it next."""

    class Mode(models.TextChoices):
        CALLBACK = "callback"
        SYNC = "sync"

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="payments")
    ref = models.CharField(max_length=32, unique=True, default=new_ref, editable=False)
    provider = models.CharField(max_length=32)
    provider_ref = models.CharField(max_length=128, blank=True)
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.CALLBACK)
    idempotency_key = models.CharField(max_length=255, null=True, editable=False)  # noqa: DJ001 — NULL is "none", and unique
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(
        max_length=16, default="intended"
    )  # base.PaymentStatus, or "intended"
    authorised = models.BigIntegerField(default=0)
    captured = models.BigIntegerField(default=0)
    refunded = models.BigIntegerField(default=0)
    disputed = models.BigIntegerField(default=0)
    dispute = models.CharField(max_length=8, blank=True)
    failure_code = models.CharField(max_length=64, blank=True)
    checkout_url = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    profile = models.CharField(max_length=16)  # checking.Profile
    step = models.PositiveSmallIntegerField(default=0)
    next_check_at = models.DateTimeField(null=True, blank=True)  # NULL: closed, nothing to look for
    last_checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_check_at"],
                name="payment_due",
                condition=Q(next_check_at__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "provider_ref"],
                name="payment_provider_ref",
                condition=~Q(provider_ref=""),
            ),
            models.UniqueConstraint(
                fields=["order", "idempotency_key"], name="payment_idempotency"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ref} at {self.provider} ({self.status})"


class Refund(models.Model):
    """Money to give back: written down before the provider is asked, and settled with the same key after a crash."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    ref = models.CharField(max_length=32, unique=True, default=new_ref, editable=False)
    provider_ref = models.CharField(max_length=128, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, editable=False)  # noqa: DJ001 — NULL is "none", and unique
    amount = models.BigIntegerField()
    reason = models.CharField(max_length=500, blank=True)
    status = models.CharField(
        max_length=16, default="intended"
    )  # base.RefundStatus, "intended" or "refused"
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["payment", "idempotency_key"], name="refund_idempotency"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_amount_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.ref} ({self.status})"


class CallbackReceipt(models.Model):
    """One item of a callback as it came, stored with what it did, in one transaction."""

    provider = models.CharField(max_length=32)
    event_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=64, blank=True)
    payment = models.ForeignKey(
        Payment, null=True, blank=True, on_delete=models.PROTECT, related_name="receipts"
    )
    body = models.TextField()
    headers = models.JSONField(default=dict)
    received_at = models.DateTimeField(default=timezone.now)
    outcome = models.CharField(max_length=16)  # commands.Outcome
    detail = models.CharField(max_length=500, blank=True)
    deliveries = models.PositiveIntegerField(default=1)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)  # only while it matches no payment

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"], name="receipt_due", condition=Q(next_try_at__isnull=False)
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="receipt_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.event_id} ({self.outcome})"


class PaymentCheck(models.Model):
    """One look at a provider: what was found, also when nothing had changed."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="checks")
    checked_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=16)
    actor = models.CharField(max_length=200, blank=True)
    found = models.CharField(max_length=16)  # commands.Outcome, or what went wrong
    detail = models.CharField(max_length=500, blank=True)
    took_ms = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["payment", "-checked_at"], name="check_latest")]

    def __str__(self) -> str:
        return f"{self.checked_at:%Y-%m-%d %H:%M:%S} {self.found}"
