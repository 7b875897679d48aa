"""The beat's schedule as staff see it."""

import pytest
from django.contrib.auth.models import User
from django_celery_beat.models import PeriodicTask

from tests.orders.staff import logged_in, seen
from workers import schedule

pytestmark = pytest.mark.usefixtures("database")

TASKS = "/admin/django_celery_beat/periodictask/"


def test_the_schedule_is_told_in_words() -> None:
    schedule.install()
    client = logged_in(User.objects.create_superuser("rosa"))

    html = seen(client.get(TASKS).content.decode())

    assert "every 15 seconds : checks payments that are due with their providers" in html
    assert "At 03:17 AM UTC : reconciles our payments with the providers' lists" in (
        html.replace("&#x27;", "'")
    )


def test_a_task_that_we_do_not_know_is_told_by_its_name() -> None:
    schedule.install()
    known = PeriodicTask.objects.get(name=schedule.RECONCILE)
    PeriodicTask.objects.create(name="theirs", task="shop.tasks.tidy", interval=known.interval)
    client = logged_in(User.objects.create_superuser("rosa"))

    listed = seen(client.get(TASKS).content.decode())
    page = client.get(f"{TASKS}{known.pk}/change/")

    assert "every 15 seconds : shop.tasks.tidy" in listed
    assert page.status_code == 200
