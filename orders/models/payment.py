"""What the providers know: attempts to pay, refunds, and the logs of what they told us and what we asked them."""

from django.db import models
from django.db.models import Q

from orders import clock
from orders.domain.payment_status import OwnStatus
from orders.models.order import Order, new_ref


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
    # base.PaymentStatus, or OwnStatus
    status = models.CharField(max_length=16, default=OwnStatus.INTENDED.value)
    authorised = models.BigIntegerField(default=0)
    captured = models.BigIntegerField(default=0)
    refunded = models.BigIntegerField(default=0)
    disputed = models.BigIntegerField(default=0)
    dispute = models.CharField(max_length=8, blank=True)
    failure_code = models.CharField(max_length=64, blank=True)
    is_offline = models.BooleanField(default=False)  # bank debit and the like: settles in days
    hold_ends_at = models.DateTimeField(null=True, blank=True)  # while authorised, where they say
    return_url = models.CharField(
        max_length=4000, blank=True
    )  # where the checkout sends the customer back
    checkout_url = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    changed_at = models.DateTimeField(default=clock.now, editable=False)

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
    # base.RefundStatus, or OwnStatus
    status = models.CharField(max_length=16, default=OwnStatus.INTENDED.value)
    created_at = models.DateTimeField(default=clock.now, editable=False)

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
    merchant_ref = models.CharField(max_length=200, blank=True)  # what it says it is about
    body = models.TextField()
    headers = models.JSONField(default=dict)
    received_at = models.DateTimeField(default=clock.now)
    outcome = models.CharField(max_length=16)  # commands.Outcome
    detail = models.CharField(max_length=500, blank=True)
    deliveries = models.PositiveIntegerField(default=1)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)  # only while it matches no payment
    needs_review = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"], name="receipt_due", condition=Q(next_try_at__isnull=False)
            ),
            models.Index(fields=["-id"], name="receipt_review", condition=Q(needs_review=True)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="receipt_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.event_id} ({self.outcome})"


class PaymentCheck(models.Model):
    """One look at a provider: what was found, also when nothing had changed."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="checks")
    checked_at = models.DateTimeField(default=clock.now)
    source = models.CharField(max_length=16)
    actor = models.CharField(max_length=200, blank=True)
    found = models.CharField(max_length=16)  # commands.Outcome, or what went wrong
    detail = models.CharField(max_length=500, blank=True)
    took_ms = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["payment", "-checked_at"], name="check_latest")]

    def __str__(self) -> str:
        return f"{self.checked_at:%Y-%m-%d %H:%M:%S} {self.found}"
