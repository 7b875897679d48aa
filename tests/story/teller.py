"""Tells the story: chapters, their steps with milliseconds, and the closing line."""

import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
Chapter = Callable[..., Awaitable[None]]

CHAPTERS: list[tuple[str, Chapter]] = []


def chapter(title: str) -> Callable[[Chapter], Chapter]:
    """Make the function a chapter of the story, in the order of the file."""

    def add(function: Chapter) -> Chapter:
        CHAPTERS.append((title, function))
        return function

    return add


@dataclass
class Teller:
    """Prints each step as it happens. A step that raises ends its chapter, not the story."""

    failed: int = 0
    told: int = 0
    began: float = field(default_factory=time.monotonic)

    async def step(self, text: str, doing: Awaitable[T]) -> T:
        """Await `doing` and print how long it took."""
        began = time.monotonic()
        try:
            result = await doing
        except BaseException:
            print(f"    ✗ {_ms(began)}  {text}", flush=True)
            raise
        print(f"    ✓ {_ms(began)}  {text}", flush=True)
        return result

    async def tell(self, title: str, doing: Awaitable[None]) -> None:
        self.told += 1
        print(f"\n{self.told:>2}. {title}", flush=True)
        try:
            await doing
        except Exception as error:  # noqa: BLE001 — the other chapters are worth telling all the same
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"    ✗ {type(error).__name__}: {error} ({where.name}, line {where.lineno})")

    def close(self) -> int:
        """Print the last line; the exit code."""
        seconds = round(time.monotonic() - self.began, 1)
        summary = {"chapters": self.told, "failed": self.failed, "seconds": seconds}
        print(f"\nSTORY {json.dumps(summary)}")
        sys.stdout.flush()
        return 1 if self.failed or not self.told else 0


def _ms(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:7.1f} ms"
