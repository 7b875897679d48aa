"""`manage.py reconcile`: run by hand what beat schedules for a worker, and print the results."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orders.commands import refresh
from orders.commands.refresh import Refreshed
from orders.domain.cause import Cause, Source
from orders.domain.errors import OrderNotFound
from workers import comparing, reconciler

BY_HAND = Cause(Source.STAFF, "manage.py reconcile")


class Command(BaseCommand):
    help = "Check payments with their providers, update the orders, and print the results."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--once",
            action="store_true",
            help="everything that is due now, as one scheduled run does",
        )
        which.add_argument("--order", metavar="REF", help="every payment of this order, due or not")
        which.add_argument(
            "--list",
            action="store_true",
            help="reconcile with the providers' own lists, as the nightly run does",
        )

    def handle(self, *args: Any, order: str | None, **options: Any) -> None:
        if order:
            self._order(order)
        elif options["list"]:
            self._list()
        else:
            self._once()

    def _once(self) -> None:
        tick = reconciler.tick(report=self._say)
        counts = ", ".join(f"{count} {found}" for found, count in sorted(tick.found.items()))
        self.stdout.write(
            f"{tick.checked} payments checked{f' ({counts})' if counts else ''}; {tick.expired} orders expired; "
            f"{tick.retried} unmatched callbacks retried"
        )

    def _order(self, ref: str) -> None:
        try:
            results = refresh.refresh_order(ref, cause=BY_HAND)
        except OrderNotFound:
            raise CommandError(f"There is no order {ref}.") from None
        for result in results:
            self._say(result)
        if not results:
            self.stdout.write("The order has no payments, so there is no provider to check with.")

    def _list(self) -> None:
        result = comparing.compare()
        for finding, count in sorted(result.found.items()):
            self.stdout.write(f"{finding:10} {count:8}")
        for name in result.broken_off:
            self.stdout.write(f"the list of {name} could not be read completely")
        self.stdout.write(f"{result.found.total()} listed payments compared")

    def _say(self, result: Refreshed) -> None:
        self.stdout.write(
            f"{result.payment}  {result.found:12}  {result.state:20}  {result.detail}".rstrip()
        )
