"""`manage.py new_epoch`: run this after the journal was restored from a backup."""

from typing import Any

from django.core.management.base import BaseCommand

from orders.commands.lifecycle import begin_epoch


class Command(BaseCommand):
    help = "Give the journal a new epoch after a restore: every page starts again from a snapshot within seconds."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"the journal's epoch is now {begin_epoch()}")
