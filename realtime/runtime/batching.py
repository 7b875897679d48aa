"""How long questions are gathered until they are put to the database together.

A moment, as a rule: nobody notices 5 ms. When pages come back by the thousand, what is gathered in a moment is a
handful, and a query for each handful would cost more than all that is asked; so it waits on while many still ask.
"""

import asyncio
from collections.abc import Callable

LEAST = 0.005  # seconds
MOST = 0.05  # seconds
MANY = 4  # questions in a moment
ENOUGH = 200  # questions, which is what one query takes


class Window:
    """Calls `close` when what was asked since the last time is to be put. For one event loop."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._gathered = self._seen = 0
        self._ends_at = 0.0

    def ask(self) -> None:
        """One more question."""
        self._gathered += 1
        if self._gathered == 1:
            loop = asyncio.get_running_loop()
            self._ends_at = loop.time() + MOST
            loop.call_later(LEAST, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        are_many = self._gathered - self._seen >= MANY and self._gathered < ENOUGH
        if are_many and loop.time() < self._ends_at:
            self._seen = self._gathered
            loop.call_later(LEAST, self._look)
            return
        self._gathered = self._seen = 0
        self._close()
