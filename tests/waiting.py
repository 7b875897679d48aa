"""Waiting for something to become so, with a deadline. Tests poll with these and sleep nowhere else.

A deadline is for a machine that is nobody else's. It says when something will never come, and not how fast it must be.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")
_INTERVAL = 0.02
PATIENCE = 4  # times: so much slower may a shared machine be


def eventually(
    predicate: Callable[[], T],
    timeout: float = 5.0,
    *,
    saying: str = "",
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """The first true value of `predicate`. Raises `AssertionError` with the last value after `timeout` seconds,
    and some more of a busy machine's.

    An exception of `ignoring` counts as "not yet".
    """
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        last: Any
        try:
            value = last = predicate()
        except ignoring as error:
            last = error
        else:
            if value:
                return value
        if time.monotonic() > deadline:
            raise AssertionError(_message(predicate, timeout, saying, last))
        time.sleep(_INTERVAL)


async def eventually_async(
    predicate: Callable[[], Awaitable[T]] | Callable[[], T],
    timeout: float = 5.0,  # noqa: ASYNC109 — it names what it waited for
    *,
    saying: str = "",
) -> T:
    """The same on an event loop; `predicate` may be a coroutine function."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        found: Any = predicate()
        value: T = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_message(predicate, timeout, saying, value))
        await asyncio.sleep(_INTERVAL)


def _message(predicate: Callable[..., Any], timeout: float, saying: str, last: object) -> str:
    what = saying or f"{getattr(predicate, '__qualname__', predicate)} became true"
    return f"waited {timeout * PATIENCE:g} s until {what}; at the end it was {last!r}"
