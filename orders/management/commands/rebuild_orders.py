"""`manage.py rebuild_orders`: rebuild the order rows from their events."""

from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from orders.database import unlimited
from orders.journal import verify
from orders.models import Order


class Command(BaseCommand):
    help = "Rebuild every order's row from its events, and print what was different."

    def handle(self, *args: Any, **options: Any) -> None:
        changed = 0
        with unlimited(), tqdm(total=Order.objects.count(), unit=" orders", disable=None) as bar:
            for difference in verify.rebuild(bar.update):
                changed += 1
                bar.clear()
                self.stdout.write(f"rebuilt {difference}")
        self.stdout.write(f"{changed} differences rebuilt from events")
