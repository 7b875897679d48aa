"""What was given to people and programs and taken back, and what they did."""

import pgtrigger
from django.db import models

from orders import clock


class Revocation(models.Model):
    """Everything that `what` names and that was issued up to `at` no longer counts."""

    what = models.CharField(max_length=300, unique=True)  # access.revocation makes it
    at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True, blank=True)  # all that it revokes has run out by then
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.what} up to {self.at:%Y-%m-%d %H:%M:%S}"


class AuditEntry(models.Model):
    """One write that somebody asked for: who, from where, why, and whether it was done. Never rewritten."""

    at = models.DateTimeField(default=clock.now)
    action = models.CharField(max_length=64)
    order = models.CharField(
        max_length=32, blank=True
    )  # its ref: an entry outlives what it is about
    source = models.CharField(max_length=16)
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    outcome = models.CharField(max_length=64)  # "done", or the code of the refusal
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["order", "-id"], name="audit_of_order")]
        triggers = [
            pgtrigger.Protect(
                name="audit_append_only", operation=pgtrigger.Update | pgtrigger.Delete
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor}: {self.action} ({self.outcome})"
