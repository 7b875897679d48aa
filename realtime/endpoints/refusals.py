"""The answers about orders that may not be seen: one for many, so that asking costs more than answering."""

import asyncio
from collections.abc import Sequence

from realtime.hub.connection import Connection
from realtime.protocol.frames import Frame
from realtime.protocol.messages import NAMED_REFUSALS, Close, refusal


class Refusals:
    """Of one socket. `asked` is the order that it is about, if it is about one: the socket ends with it."""

    __slots__ = ("_asked", "_connection", "_waiting")

    def __init__(self, connection: Connection, asked: str | None) -> None:
        self._connection, self._asked = connection, asked
        self._waiting: dict[Close, list[str]] | None = None

    def say(self, refs: Sequence[str], expired: set[str]) -> None:
        """Of those that one message asked for: one answer for each reason."""
        for why, those in (
            (Close.TOKEN_EXPIRED, [ref for ref in refs if ref in expired]),
            (Close.FORBIDDEN, [ref for ref in refs if ref not in expired]),
        ):
            if those and not self._is_the_end(those, why):
                self._write(why, those)

    def add(self, ref: str, why: Close) -> None:
        """An order that was watched is not there, or may be seen no longer. What is found together is said together,
        and all by their names: the client may have asked for them long ago."""
        if self._is_the_end([ref], why):
            return
        if self._waiting is None:
            self._waiting = {}
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.setdefault(why, []).append(ref)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting or {}, None
        for why, refs in waiting.items():
            for start in range(0, len(refs), NAMED_REFUSALS):
                self._write(why, refs[start : start + NAMED_REFUSALS])

    def _write(self, why: Close, refs: Sequence[str]) -> None:
        self._connection.write(Frame("error", refusal(why, refs).encode()))

    def _is_the_end(self, refs: Sequence[str], why: Close) -> bool:
        is_the_end = self._asked is not None and self._asked in refs
        if is_the_end:
            self._connection.fail(why, why.meaning)
        return is_the_end
