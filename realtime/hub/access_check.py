"""Re-authorization of live connections: one whose token has expired or was revoked, or whose user has logged out, is
closed; and a page that watches an order which it may see no longer, because the order was given to somebody else or a
permission was taken, is unsubscribed from it.

Asked of PostgreSQL for all connections together, in rounds, so it holds while Valkey is away. While the database is
away too, nobody is closed: nothing new can be read then either.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from orders.access import Credentials, Invalidation, Kind
from realtime.access import authentication
from realtime.hub.connection import Connection
from realtime.protocol.messages import Close
from realtime.pubsub import names
from realtime.runtime.database_threads import PASSING_ERRORS

logger = logging.getLogger(__name__)


class AccessCheck:
    def __init__(
        self,
        connections: Collection[Connection],
        unsubscribe: Callable[[Connection, str], None],
        every: float,
    ) -> None:
        self._connections, self._unsubscribe, self._every = connections, unsubscribe, every

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._end_invalidated()
                await self._end_what_may_not_be_seen()
            except PASSING_ERRORS as error:
                logger.warning("re-authorization: database unavailable: %s", error)

    async def _end_invalidated(self) -> None:
        shown = {each for c in self._connections for each in c.access.credentials}
        invalid = await authentication.invalidated(shown) if shown else {}
        for connection in list(self._connections) if invalid else ():
            if connection.access.credentials & invalid.keys():
                await self._withdraw(connection, invalid)

    async def _end_what_may_not_be_seen(self) -> None:
        """Grants and services say themselves what they show; what a user may see can change under an open page."""
        asked: dict[int, set[str]] = {}
        for connection in self._connections:
            users = {c.user_id for c in connection.access.credentials if c.user_id is not None}
            for user in users:
                asked.setdefault(user, set()).update(_seen_as_a_user(connection))
        asked = {user: refs for user, refs in asked.items() if refs}
        seen = await authentication.still_seen(asked) if asked else {}
        lost = {user: refs - seen[user] for user, refs in asked.items() if refs - seen[user]}
        for connection in list(self._connections) if lost else ():
            users = {c.user_id for c in connection.access.credentials if c.user_id in lost}
            refs = set().union(*(lost[user] for user in users if user is not None))
            if refs & _seen_as_a_user(connection):
                await self._remove(connection, refs)

    async def _remove(self, connection: Connection, lost: set[str]) -> None:
        """From the orders that no credential of the connection shows any more; a socket of one order is closed."""
        watched = _watched(connection)
        try:
            still = await connection.access.visible(lost & watched.keys())
        except authentication.Denied as denied:
            connection.fail(denied.code, str(denied))
            return
        for ref in watched.keys() & lost - still:
            self._unsubscribe(connection, watched[ref])
            connection.refuse(ref, Close.FORBIDDEN)

    async def _withdraw(
        self, connection: Connection, invalid: dict[Credentials, Invalidation]
    ) -> None:
        """Unsubscribe from the orders that nothing else shows that it has brought: a refreshed token, another grant.
        Closed where nothing is left."""
        gone = {each: why for each, why in invalid.items() if each in connection.access.credentials}
        connection.access.credentials -= gone.keys()
        why = Close.TOKEN_EXPIRED if Invalidation.EXPIRED in gone.values() else Close.FORBIDDEN
        watched = _watched(connection)
        seen: set[str] = set()
        try:
            if connection.access.credentials:
                seen = await connection.access.visible(watched)
        except (authentication.Denied, *PASSING_ERRORS) as error:
            logger.debug("re-authorization closes a connection: %r", error)
            connection.access.credentials.clear()
        if not connection.access.credentials:
            connection.fail(why, why.meaning)
            return
        for ref in watched.keys() - seen:
            self._unsubscribe(connection, watched[ref])
            connection.refuse(ref, why)


def _seen_as_a_user(connection: Connection) -> set[str]:
    """The orders that it watches and that no token of its names: what a grant lists is seen by whoever has it."""
    named = (c.refs for c in connection.access.credentials if c.kind is Kind.GRANT)
    return _watched(connection).keys() - set().union(*named)


def _watched(connection: Connection) -> dict[str, str]:
    """The orders that it watches, and their topics."""
    topics = (s.topic for s in connection.subscriptions.values())
    return {topic.key: topic.name for topic in topics if topic.kind == names.ORDER}
