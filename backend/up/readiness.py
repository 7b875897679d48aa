"""When is everything up, and is it still?"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from redis import RedisError

from backend.up.child import Server
from backend.up.process_group import Stack

READY_TIMEOUT = 90.0  # seconds; on a slow machine four processes import a lot at once
_INTERVAL = 0.1


def watch(
    stack: Stack,
    checks: Mapping[str, Callable[[], bool]],
    servers: Sequence[Server],
    welcome: Callable[[], str],
) -> None:
    """Print `welcome()` when all `checks` are true, and stop the stack if they are not in time.

    Until the stack stops, it also stops the stack when one of the embedded servers ends.
    """
    waiting = dict(checks)
    deadline = time.monotonic() + READY_TIMEOUT
    is_said = False
    while not stack.is_stopping:
        for server in servers:
            if not server.is_alive():
                stack.fail(
                    f"{server.name} ended with exit code {server.process.returncode}; see {server.log}"
                )
        for part in [part for part, is_ready in waiting.items() if is_ready()]:
            del waiting[part]
        if not (waiting or is_said or stack.is_stopping):
            is_said = True
            with suppress(BrokenPipeError):  # the stack, which prints too, finds it out
                print(welcome(), flush=True)
        if waiting and time.monotonic() > deadline:
            stack.fail(f"{', '.join(waiting)} was not ready in {READY_TIMEOUT:.0f} s")
        time.sleep(_INTERVAL)


def worker_answers() -> bool:
    """Whether a Celery worker answers a ping."""
    from celery.exceptions import OperationalError

    from backend.celery import app

    with suppress(OperationalError, RedisError, OSError):
        return bool(app.control.broadcast("ping", reply=True, timeout=1, limit=1))
    return False
