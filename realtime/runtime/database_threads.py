"""Database work for the event loop: a few threads of its own, so that it neither waits for nor blocks Django's."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django import db

from orders.database import UNAVAILABLE

P = ParamSpec("P")
T = TypeVar("T")

# What may go away by itself: asking again is right. Anything else is a defect or bad data.
PASSING_ERRORS = (*UNAVAILABLE, OSError)


class DatabaseThreads:
    """A small executor whose jobs give their connection back to the pool when they end."""

    def __init__(self, name: str, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"ordercast-{name}")

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`job(*args)` in one of the threads. Its errors come back as they are."""

        def work() -> T:
            try:
                return job(*args, **kwargs)
            finally:
                db.connections.close_all()

        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
