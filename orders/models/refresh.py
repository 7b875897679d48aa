"""What staff asked to have asked: runs of forced refreshes, one row for each order. Never the state of an order."""

from django.db import models
from django.db.models import Q

from orders import clock
from orders.models.order import Order


class RefreshRun(models.Model):
    """Orders that somebody wants to have asked about at their providers, now."""

    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=300)
    at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = "forced refresh"
        verbose_name_plural = "forced refreshes"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor}"


class RefreshItem(models.Model):
    """One order of a run, and what came of it."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        ASKING = "asking"
        DONE = "done"
        REFUSED = "refused"  # asked about a moment ago: not before `free_at`

    run = models.ForeignKey(RefreshRun, on_delete=models.CASCADE, related_name="items")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+", db_index=False)
    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    wanted_at = models.DateTimeField(default=clock.now)
    free_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    was = models.CharField(max_length=50)  # the order's state when it was wanted
    state = models.CharField(max_length=50, blank=True)  # and afterwards
    results = models.JSONField(default=list)  # [payment's ref, found, detail] for each payment

    class Meta:
        indexes = [
            models.Index(fields=["order", "-id"], name="refresh_of_order"),
            models.Index(
                fields=["id"], name="refresh_open", condition=Q(status__in=["waiting", "asking"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} ({self.status})"
