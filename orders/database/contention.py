"""How many threads of this process may wait for one row.

A row that somebody has locked for long would otherwise take a thread and a connection for each who wants it, until
nothing is left for other orders. PostgreSQL's `lock_timeout` ends each wait; this bounds how many there are. Limit:
rows are known by the name that is asked for, so an order asked for by its own and by its payment's has two.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock

from orders.database.errors import Busy

WAITERS = 4  # of a pool of 16 connections

_waiting: Counter[Hashable] = Counter()
_lock = Lock()


@contextmanager
def one_of_few(row: Hashable) -> Iterator[None]:
    """Around the statement that locks `row`. Raises `Busy` where `WAITERS` others wait for it already."""
    with _lock:
        if _waiting[row] >= WAITERS:
            raise Busy(f"{WAITERS} already wait for {row}")
        _waiting[row] += 1
    try:
        yield
    finally:
        with _lock:
            _waiting[row] -= 1
            if not _waiting[row]:
                del _waiting[row]
