"""How many connections each credential and each address may hold in this process."""

from collections.abc import Mapping

from realtime.hub.connection import Connection


class ConnectionLimits:
    """`most` by the kind of a name, which stands before its colon (`realtime.access.authentication.holders`)."""

    def __init__(self, most: Mapping[str, int]) -> None:
        self._most = most
        self._held: dict[str, int] = {}

    def full(self, names: frozenset[str]) -> str | None:
        """The first of these that holds as many as it may."""
        return next((name for name in names if self._held.get(name, 0) >= self.most(name)), None)

    def hold(self, connection: Connection, names: frozenset[str]) -> str | None:
        """Count it for these names, and no longer for others. Where one of them is full: that one, and it stays counted
        as it was."""
        more = names - connection.held
        if (full := self.full(more)) is not None:
            return full
        self.release(connection, connection.held - names)
        for name in more:
            self._held[name] = self._held.get(name, 0) + 1
        connection.held = names
        return None

    def most(self, name: str) -> int:
        return self._most[name.partition(":")[0]]

    def release(self, connection: Connection, names: frozenset[str] | None = None) -> None:
        """It is gone; or it is no longer these."""
        names = connection.held if names is None else names
        connection.held -= names
        for name in names:
            left = self._held[name] - 1
            if left:
                self._held[name] = left
            else:
                del self._held[name]
