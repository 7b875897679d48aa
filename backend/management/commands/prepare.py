"""`manage.py prepare`: everything the database needs before the first process starts. Harmless to repeat."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from backend.settings import ENV
from orders import demo
from orders.database import unlimited
from orders.database.deploy import one_at_a_time
from workers import schedule

# Any number will do, if only all of us take the same: the first eight bytes of "ordercast".
_LOCK = int.from_bytes(b"ordercas")
DEMO_LOGIN = "demo"


class Command(BaseCommand):
    help = "Migrates the database, installs the beat schedule, and in the demo creates its user and orders."

    def handle(self, *args: Any, **options: Any) -> None:
        with one_at_a_time(_LOCK, self._wait), unlimited():
            call_command("migrate", verbosity=options["verbosity"], interactive=False)
            schedule.install()
            if ENV.ORDERCAST_DEMO:
                _make_demo_user()
                demo.seed()

    def _wait(self) -> None:
        self.stderr.write("another `manage.py prepare` is under way: waiting for it")


def _make_demo_user() -> None:
    users = get_user_model()._default_manager  # noqa: SLF001 — Django's documented name
    user = users.filter(username=DEMO_LOGIN).first()
    if user is None:
        users.create_superuser(DEMO_LOGIN, "demo@example.com", ENV.ORDERCAST_DEMO_PASSWORD)
    elif not user.check_password(ENV.ORDERCAST_DEMO_PASSWORD):
        user.set_password(ENV.ORDERCAST_DEMO_PASSWORD)
        user.save(update_fields=["password"])
