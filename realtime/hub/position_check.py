"""The net under every hint: compare all watched topics with the journal's heads, and read what differs.

Whatever was lost on the way (a task, a message, a whole Valkey), a page is at most one round of this late.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from realtime.hub.journal_reader import HEADS_PER_QUERY, JournalReader
from realtime.hub.topic import Topic
from realtime.runtime.database_threads import PASSING_ERRORS

logger = logging.getLogger(__name__)


class PositionCheck:
    def __init__(
        self,
        topics: Mapping[str, Topic],
        readers: Mapping[str, JournalReader],
        heal: Callable[[list[Topic]], None],
        every: float,
    ) -> None:
        self._topics, self._readers, self._heal, self._every = topics, readers, heal, every
        self._wake = asyncio.Event()
        self._triggered: set[str] | None = set()  # topics to check now; None: all
        self._checked_at: float | None = None
        self.healed = 0

    def trigger(self, topics: Iterable[str] | None) -> None:
        """Check these, or all (None), now and not only in the next round."""
        if topics is None or self._triggered is None:
            self._triggered = None
        else:
            self._triggered.update(topics)
        self._wake.set()

    async def run(self) -> None:
        """For ever. Raises only when the event loop ends it, or by a defect."""
        loop = asyncio.get_running_loop()
        next_round = loop.time() + self._every
        while True:
            try:
                async with asyncio.timeout_at(next_round):
                    await self._wake.wait()
            except TimeoutError:
                pass
            if loop.time() >= next_round:  # also where somebody triggers it all the time
                self._triggered = None
            self._wake.clear()
            triggered, self._triggered = self._triggered, set()
            if triggered is None:
                next_round = loop.time() + self._every
            chosen = self._topics.values() if triggered is None else self._present(triggered)
            if await self._check(list(chosen)) and triggered is None:
                self._checked_at = time.monotonic()

    def _present(self, names: Iterable[str]) -> list[Topic]:
        return [self._topics[name] for name in names if name in self._topics]

    async def _check(self, topics: list[Topic]) -> bool:
        """Whether the journal could be asked."""
        for kind, reader in self._readers.items():
            of_kind = [t for t in topics if t.kind == kind and not t.is_cold]
            for start in range(0, len(of_kind), HEADS_PER_QUERY):
                batch = of_kind[start : start + HEADS_PER_QUERY]
                asked = [topic.position for topic in batch]
                try:
                    epoch, heads = await reader.heads([topic.key for topic in batch])
                except PASSING_ERRORS as error:
                    logger.warning("position check: database unavailable: %s", error)
                    return False
                behind = [t for t in batch if t.is_behind(epoch, heads.get(t.key, 0))]
                ahead = [
                    t
                    for t, position in zip(batch, asked, strict=True)
                    if t.is_ahead(epoch, heads.get(t.key, 0), position)
                ]
                self.healed += len(behind)
                self._doubt(ahead, heads)
                if behind or ahead:
                    self._heal(behind + ahead)
        return True

    def _doubt(self, topics: list[Topic], heads: Mapping[str, int]) -> None:
        """The reading that follows decides whether the journal went back."""
        for topic in topics:
            topic.doubt(heads)
        if topics:
            logger.warning(
                "position check: the journal is behind %d topics, as after a failover or a restore",
                len(topics),
            )

    def health(self) -> dict[str, Any]:
        age = None
        if self._checked_at is not None:
            age = round(time.monotonic() - self._checked_at, 1)
        return {"seconds_ago": age, "healed": self.healed}
