"""`manage.py verify_orders`: do the rows still agree with their history?"""

import sys
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from orders.database import unlimited
from orders.journal import verify
from orders.models import Order


class Command(BaseCommand):
    help = "Compare every order's row with its events; prints each difference, and exits with code 1 if there is one."

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        with unlimited(), tqdm(total=Order.objects.count(), unit=" orders", disable=None) as bar:
            for difference in verify.differences(bar.update):
                wrong += 1
                bar.clear()
                self.stdout.write(str(difference))
            done = bar.n if not bar.disable else bar.total
        if wrong:
            self.stderr.write(
                f"{wrong} differences; `manage.py rebuild_orders` rebuilds the rows from their events"
            )
            sys.exit(1)
        self.stdout.write(f"{done} orders agree with their events")
