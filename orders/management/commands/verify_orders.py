"""`manage.py verify_orders`: do the rows still agree with their history?"""

import sys
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from orders.journal import verify
from orders.models import Order


class Command(BaseCommand):
    help = "Fold every order's events and compare with its row; exit code 1 and each difference if one disagrees."

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        with tqdm(total=Order.objects.count(), unit=" orders", disable=None) as bar:
            for difference in verify.differences(bar.update):
                wrong += 1
                bar.clear()
                self.stdout.write(str(difference))
            done = bar.n if not bar.disable else bar.total
        if wrong:
            self.stderr.write(
                f"{wrong} differences; `manage.py rebuild_orders` writes the rows anew from their events"
            )
            sys.exit(1)
        self.stdout.write(f"{done} orders agree with their events")
