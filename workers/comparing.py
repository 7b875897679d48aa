"""Each night: the list that a provider keeps of its payments, beside ours.

Limit: only providers that can list (`base.Lists`), and only what they created in the last `LOOK_BACK`.
"""

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from orders import clock
from orders.payments import base, registry
from orders.schedule import provider_lists
from orders.schedule.provider_lists import Finding
from workers.guard import Guard

log = logging.getLogger(__name__)

LOOK_BACK = timedelta(days=120)  # card schemes let a customer dispute for about that long
PATIENCE = 5  # times in a row that a page may fail, until the provider is left for the next night


@dataclass(frozen=True)
class Comparison:
    """What the lists of all providers held; `broken_off` are the providers whose list could not be read to its end."""

    found: Counter[Finding] = field(default_factory=Counter)
    broken_off: tuple[str, ...] = ()


def compare() -> Comparison:
    """Compare with every provider that can list. What differs is due at once, so the next tick asks about it."""
    found: Counter[Finding] = Counter()
    broken_off = []
    for name in registry.names():
        provider = registry.get(name)
        if isinstance(provider, base.Lists) and not _compare_with(name, provider, found):
            broken_off.append(name)
    result = Comparison(found, tuple(broken_off))
    log.log(
        logging.WARNING if found[Finding.UNKNOWN] or broken_off else logging.INFO,
        "compared with the providers' lists: %s; incomplete: %s",
        {str(finding): count for finding, count in found.items()},
        ", ".join(broken_off) or "none",
    )
    return result


def _compare_with(name: str, provider: base.Lists, found: Counter[Finding]) -> bool:
    """True once the list was read to its end."""
    now = clock.now()
    cursor, failures = "", 0
    while failures < PATIENCE:
        allowance = Guard(name).allowance(1)  # a page costs what one question costs
        if allowance.wait is None:
            break
        if not allowance.questions:
            time.sleep(allowance.wait)
            continue
        try:
            page = provider.list_payments(now - LOOK_BACK, cursor)
        except base.ProviderError as error:
            failures += 1
            log.warning("listing payments of %s failed: %s", name, error)
            Guard(name).report("unavailable")
            continue
        failures = 0
        found.update(provider_lists.take_in(name, page.payments, now))
        cursor = page.next_cursor
        if not cursor:
            return True
    return False
