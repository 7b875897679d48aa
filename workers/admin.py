"""The beat's schedule in plain words: what runs, how often, what for, and whether it does.

The rows are django-celery-beat's own, and so is the form that changes them; here they are only explained.
"""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django_celery_beat.admin import PeriodicTaskAdmin
from django_celery_beat.models import PeriodicTask

from orders.admin.base import EMPTY, moment

MEANINGS = {
    "workers.tasks.reconcile": _("checks payments that are due with their providers"),
    "workers.tasks.compare": _("reconciles our payments with the providers' lists"),
    "celery.backend_cleanup": _("Celery's cleanup of expired results; none are stored here"),
}

admin.site.unregister(PeriodicTask)


@admin.register(PeriodicTask)
class ScheduleInWords(PeriodicTaskAdmin):  # type: ignore[misc] # django-celery-beat has no types
    list_display = ("name", "in_words", "enabled", "last_run")
    list_filter = ("enabled",)
    # Its own has a script within the page, which our content policy refuses; the schedule is spelled out here instead.
    change_form_template = None
    readonly_fields = (*PeriodicTaskAdmin.readonly_fields, "in_words")
    fieldsets = ((None, {"fields": ("in_words",)}), *PeriodicTaskAdmin.fieldsets)

    class Media:
        css = {"all": ["orders/admin.css"]}

    @admin.display(description=_("summary"))
    def in_words(self, task: Any) -> SafeString | str:
        if task.pk is None:
            return EMPTY
        meaning = MEANINGS.get(task.task, task.task)
        words = format_html("<strong>{}</strong>: {}", _how_often(task), meaning)
        return format_html("{}<br>{}", words, task.description) if task.description else words

    @admin.display(description=_("last run recorded by beat"))
    def last_run(self, task: Any) -> SafeString | str:
        """Beat writes it down every three minutes only; the staff board has the last tick itself."""
        return moment(task.last_run_at)


def _how_often(task: Any) -> str:
    if task.interval:
        return str(task.interval)
    if task.crontab:
        return str(task.crontab.human_readable)
    return str(task.solar or task.clocked or _("never"))
