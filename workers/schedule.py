"""What beat does when: rows of django-celery-beat, put there once and editable in the admin ever after."""

from django.conf import settings
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

RECONCILE = "Reconcile payments with their providers"
COMPARE = "Compare payments with the providers' own lists"


def install() -> None:
    """Put the schedule in place. What is there already, a changed interval too, is left as it is."""
    # An earlier version set it: a worker whose clock is ahead would discard every tick (`scheduler`).
    PeriodicTask.objects.filter(name=RECONCILE).update(expire_seconds=None)
    if not PeriodicTask.objects.filter(name=RECONCILE).exists():
        _install_reconcile(settings.ORDERCAST_TICK_SECONDS)
    if not PeriodicTask.objects.filter(name=COMPARE).exists():
        _install_compare()


def _install_reconcile(seconds: int) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(
        every=seconds, period=IntervalSchedule.SECONDS
    )
    PeriodicTask.objects.get_or_create(
        name=RECONCILE,
        defaults={
            "task": "workers.tasks.reconcile",
            "interval": every,
            "description": "Looks at every payment that is due, expires overdue orders, and tries "
            "unmatched callbacks again. A second one at the same time is harmless.",
        },
    )


def _install_compare() -> None:
    nightly, _ = CrontabSchedule.objects.get_or_create(
        minute="17", hour="3", day_of_week="*", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    PeriodicTask.objects.get_or_create(
        name=COMPARE,
        defaults={
            "task": "workers.tasks.compare",
            "crontab": nightly,
            "description": "Finds what no timetable looks for any more: late disputes, refunds made in a "
            "provider's console, payments that nobody here knows.",
        },
    )
