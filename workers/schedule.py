"""What beat does when: rows of django-celery-beat, put there once and editable in the admin ever after."""

from django.conf import settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

RECONCILE = "Reconcile payments with their providers"


def install() -> None:
    """Put the schedule in place. What is there already, a changed interval too, is left as it is."""
    if PeriodicTask.objects.filter(name=RECONCILE).exists():
        return
    seconds = settings.ORDERCAST_TICK_SECONDS
    every, _ = IntervalSchedule.objects.get_or_create(
        every=seconds, period=IntervalSchedule.SECONDS
    )
    PeriodicTask.objects.get_or_create(
        name=RECONCILE,
        defaults={
            "task": "workers.tasks.reconcile",
            "interval": every,
            # Ticks that waited for a dead worker are worth nothing: one is enough.
            "expire_seconds": seconds,
            "description": "Looks at every payment that is due, expires overdue orders, and tries "
            "unmatched callbacks again. A second one at the same time is harmless.",
        },
    )
