"""Runs the refreshes that staff have forced: a task for each run, and the reconciler's tick for what a lost task left.

Limit: the task is only a trigger. While no worker lives, a run waits, and its page offers to refresh from there.
"""

import logging
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from orders import clock
from orders.commands import refresh_runs

log = logging.getLogger(__name__)

PARALLEL = 4  # orders of one run that are refreshed at the same time


def enqueue(run_id: int) -> None:
    """Enqueue the run. Never raises: without a broker it is left to the next tick."""
    from workers.tasks import refresh

    try:
        refresh.apply_async((run_id,), retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 — whatever a broker raises, it is away
        log.warning(
            "broker unavailable, forced refresh %d waits for the next tick: %r", run_id, error
        )


def carry_out(run_id: int | None) -> int:
    """Ask about all that is open of the run (None: of all), a few at a time; returns how many were asked about here."""
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="forced") as pool:
        return sum(pool.map(_carry_out, [run_id] * PARALLEL))


def catch_up() -> int:
    """What tasks have lost: all that is still open, of any run."""
    return carry_out(None) if refresh_runs.is_anything_open(clock.now()) else 0


def _carry_out(run_id: int | None) -> int:
    try:
        return len(refresh_runs.carry_out(run_id))
    finally:
        connection.close()  # back to the pool: this thread will not serve a request that would do it
