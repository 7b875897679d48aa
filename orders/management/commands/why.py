"""`manage.py why REF`: why is this order in this state, and why does nothing change?"""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orders.domain.errors import OrderNotFound
from orders.support.explain import explain
from orders.support.explanation import Explanation


class Command(BaseCommand):
    help = "Explain why an order is in its state: its flags, payments and callbacks, and the next check."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ref", help="the order's reference: 32 hex characters")

    def handle(self, *args: Any, ref: str, **options: Any) -> None:
        try:
            found = explain(ref)
        except OrderNotFound:
            raise CommandError(f"There is no order {ref}.") from None
        self.stdout.write("\n".join(_lines(found)))


def _lines(found: Explanation) -> list[str]:
    lines = [
        found.why,
        "",
        f"state    {found.state} since {_at(found.since)}, by {found.event} ({found.source} {found.actor})",
    ]
    lines += [f"flag     {flag.reason} since {_at(flag.at)}: {flag.detail}" for flag in found.flags]
    for payment in found.payments:
        lines.append(
            f"payment  {payment.ref} at {payment.provider} {payment.provider_ref}: {payment.status}"
        )
        if look := payment.last_look:
            who = look.actor or look.source
            lines.append(f"  last   {_at(look.at)} by {who}: {look.found} {look.detail}".rstrip())
        coming = payment.next_look
        lines.append(f"  next   {_at(coming.at)}: {coming.words}")
    lines += [
        f"callback {_at(row.received_at)} {row.kind}: {row.outcome} {row.detail} (received {row.deliveries}×)"
        for row in found.receipts
    ]
    return lines


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "never"
