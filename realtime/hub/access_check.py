"""Keeps live connections honest: whose token ran out, was revoked, or who has logged out, is closed; and who watches an
order that is no longer theirs to see, because it was given to somebody else or a permission was taken, is sent off it.

Asked of PostgreSQL for all connections at once, in rounds, so it holds while Valkey is away. While the database is away
too, nobody is closed: nothing new can be read then either.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from orders.access import Credentials, Kind, Lapse
from realtime.access import authentication
from realtime.protocol.messages import Close
from realtime.pubsub import names
from realtime.runtime.database_threads import PASSING_ERRORS

if TYPE_CHECKING:
    from realtime.hub.connection import Connection
    from realtime.hub.hub import Hub

logger = logging.getLogger(__name__)


class StandingCheck:
    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._hub.timing.standing)
            try:
                await self._end_what_lapsed()
                await self._end_what_may_not_be_seen()
            except PASSING_ERRORS as error:
                logger.warning("cannot ask which credentials still stand: %s", error)

    async def _end_what_lapsed(self) -> None:
        held = {each for c in self._hub.connections for each in c.access.credentials}
        lapses = await authentication.lapsed(held) if held else {}
        for connection in list(self._hub.connections) if lapses else ():
            if connection.access.credentials & lapses.keys():
                await _judge(connection, lapses)

    async def _end_what_may_not_be_seen(self) -> None:
        """Grants and services say themselves what they show; what a user may see can change under an open page."""
        asked: dict[int, set[str]] = {}
        for connection in self._hub.connections:
            users = {c.user_id for c in connection.access.credentials if c.user_id is not None}
            for user in users:
                asked.setdefault(user, set()).update(_seen_as_a_user(connection))
        asked = {user: refs for user, refs in asked.items() if refs}
        seen = await authentication.still_seen(asked) if asked else {}
        lost = {user: refs - seen[user] for user, refs in asked.items() if refs - seen[user]}
        for connection in list(self._hub.connections) if lost else ():
            users = {c.user_id for c in connection.access.credentials if c.user_id in lost}
            refs = set().union(*(lost[user] for user in users if user is not None))
            if refs & _seen_as_a_user(connection):
                await _send_off(connection, refs)


def _seen_as_a_user(connection: "Connection") -> set[str]:
    """The orders that it watches and that no token of its names: what a grant lists is seen by whoever has it."""
    named = (c.refs for c in connection.access.credentials if c.kind is Kind.GRANT)
    return _watched(connection).keys() - set().union(*named)


def _watched(connection: "Connection") -> dict[str, str]:
    """The orders that it watches, and their topics."""
    topics = (s.topic for s in connection.subscriptions.values())
    return {topic.key: topic.name for topic in topics if topic.kind == names.ORDER}


async def _send_off(connection: "Connection", lost: set[str]) -> None:
    """Off the orders that no credential of the connection's shows any more; who heard of one alone is closed."""
    watched = _watched(connection)
    try:
        still = await connection.access.visible(lost & watched.keys())
    except authentication.Denied as denied:
        connection.fail(denied.code, str(denied))
        return
    for ref in watched.keys() & lost - still:
        connection.hub.unsubscribe(connection, watched[ref])
        connection.refuse(ref, Close.FORBIDDEN)


async def _judge(connection: "Connection", lapses: dict[Credentials, Lapse]) -> None:
    """Off the orders that nothing else shows that it has brought: a refreshed token, another grant. Closed where
    nothing is left."""
    gone = {each: why for each, why in lapses.items() if each in connection.access.credentials}
    connection.access.credentials -= gone.keys()
    why = Close.TOKEN_EXPIRED if Lapse.EXPIRED in gone.values() else Close.FORBIDDEN
    watched = _watched(connection)
    seen: set[str] = set()
    try:
        if connection.access.credentials:
            seen = await connection.access.visible(watched)
    except (authentication.Denied, *PASSING_ERRORS) as error:
        logger.debug("closing a connection: %r", error)
        connection.access.credentials.clear()
    if not connection.access.credentials:
        connection.fail(why, why.meaning)
        return
    for ref in watched.keys() - seen:
        connection.hub.unsubscribe(connection, watched[ref])
        connection.refuse(ref, why)
