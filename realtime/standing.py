"""Keeps live connections honest: whose token ran out, was revoked, or who has logged out, is closed.

Asked of PostgreSQL in one query for all connections, in rounds, so it holds while Valkey is away. While the database
is away too, nobody is closed: nothing new can be read then either.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from orders.access import Credentials, Lapse
from realtime import auth
from realtime.database import PASSING_ERRORS
from realtime.messages import Close

if TYPE_CHECKING:
    from realtime.connection import Connection
    from realtime.hub import Hub

logger = logging.getLogger(__name__)


class StandingCheck:
    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._hub.timing.standing)
            held = {
                each
                for connection in self._hub.connections
                for each in connection.access.credentials
            }
            if not held:
                continue
            try:
                lapses = await auth.lapsed(held)
            except PASSING_ERRORS as error:
                logger.warning("cannot ask which credentials still stand: %s", error)
                continue
            for connection in list(self._hub.connections) if lapses else ():
                if connection.access.credentials & lapses.keys():
                    await _judge(connection, lapses)


async def _judge(connection: "Connection", lapses: dict[Credentials, Lapse]) -> None:
    """Close it, unless what it watches may still be seen by something else that it has shown: a refreshed token."""
    gone = {each: why for each, why in lapses.items() if each in connection.access.credentials}
    connection.access.credentials -= gone.keys()
    watched = {s.topic.key for s in connection.subscriptions.values()}
    try:
        if connection.access.credentials and watched <= await connection.access.visible(watched):
            return
    except (auth.Denied, *PASSING_ERRORS) as error:
        logger.debug("closing a connection: %r", error)
    if Lapse.EXPIRED in gone.values():
        connection.fail(Close.TOKEN_EXPIRED, "the token has run out; refresh it and come back")
    else:
        connection.fail(Close.FORBIDDEN, Close.FORBIDDEN.meaning)
