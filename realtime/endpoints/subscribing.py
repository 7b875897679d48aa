"""How a socket comes to watch orders: who is asking, what may they see, and then the hub, in slices."""

import asyncio
import logging
from collections.abc import Iterator
from functools import partial

from realtime.access.authentication import Answer, Denied
from realtime.endpoints.refusals import Refusals
from realtime.hub.connection import Connection
from realtime.hub.hub import ConnectionRefused, Hub, TopicRequest
from realtime.protocol.messages import AUTHENTICATION_UNAVAILABLE, Close, Wanted
from realtime.pubsub.names import order_topic
from realtime.runtime.database_threads import PASSING_ERRORS

logger = logging.getLogger(__name__)

ORDERS_IN_A_SLICE = 100


class Subscribing:
    """Of one socket. Nothing here waits: a socket that is being looked up still answers."""

    __slots__ = ("_connection", "_hub", "_pending", "_refusals")

    def __init__(self, hub: Hub, connection: Connection, refusals: Refusals) -> None:
        self._hub, self._connection, self._refusals = hub, connection, refusals
        # Of orders that are being asked about, the message that counts: the last one.
        self._pending: dict[str, list[Wanted]] | None = None

    def begin(self, wanted: list[Wanted], expired: set[str]) -> None:
        """Of those in `expired` a grant was shown that has run out: they are refused for that, where nothing else shows
        them."""
        wanted = self._of_its_own(wanted, expired)
        if not wanted or self._connection.is_closed:
            return
        self._pending = self._pending or {}
        self._pending.update(dict.fromkeys((w.order for w in wanted), wanted))
        if self._connection.access.session_key is None:
            self._ask(wanted, expired)
        else:
            self._hub.supervisor.spawn(self._log_in(wanted, expired), "log-in")

    def forget(self, ref: str) -> None:
        """It is unsubscribed: whatever is under way for it is of no use."""
        if self._pending is not None:
            self._pending.pop(ref, None)

    def hold(self) -> bool:
        """Count the socket for whom it has shown to be by now; False where it was closed for that."""
        try:
            self._hub.hold(self._connection)
        except ConnectionRefused as refused:
            self._connection.fail(refused.code, str(refused))
            return False
        return True

    def cannot_ask(self, error: Exception) -> None:
        if isinstance(error, PASSING_ERRORS):
            logger.warning("authentication unavailable: %s", error)
        else:
            logger.error("authentication failed by an internal error", exc_info=error)
        self._connection.fail(Close.INTERNAL, AUTHENTICATION_UNAVAILABLE)

    def _of_its_own(self, wanted: list[Wanted], expired: set[str]) -> list[Wanted]:
        """Those that it can come to see at all; the others are refused before any order is looked for."""
        named = self._connection.access.named()
        if named is None or all(each.order in named for each in wanted):
            return wanted
        self._refusals.say([each.order for each in wanted if each.order not in named], expired)
        return [each for each in wanted if each.order in named]

    async def _log_in(self, wanted: list[Wanted], expired: set[str]) -> None:
        try:
            await self._connection.access.log_in()
        except Exception as error:  # noqa: BLE001 — whatever it is, the page must hear that it has no answer
            self.cannot_ask(error)
            return
        if self.hold():
            self._ask(wanted, expired)

    def _ask(self, wanted: list[Wanted], expired: set[str]) -> None:
        asking = self._connection.access.asking(each.order for each in wanted)
        # No task for it: pages come back by the thousand.
        asking.add_done_callback(partial(self._subscribe, wanted, expired))

    def _subscribe(
        self, wanted: list[Wanted], expired: set[str], asking: "asyncio.Future[Answer]"
    ) -> None:
        connection = self._connection
        try:
            visible = connection.access.judged(asking.result())
        except Denied as denied:
            connection.fail(denied.code, str(denied))
            return
        except Exception as error:  # noqa: BLE001 — as above
            self.cannot_ask(error)
            return
        if expired and not connection.access.credentials:
            # As where no cookie was shown: all that there was has run out.
            connection.fail(Close.TOKEN_EXPIRED, Close.TOKEN_EXPIRED.meaning)
            return
        work = self._register(wanted, visible, expired)
        if len(wanted) > ORDERS_IN_A_SLICE:
            self._hub.turns.add(work)
        else:
            for _ in work:
                pass

    def _register(
        self, asked: list[Wanted], visible: set[str], expired: set[str]
    ) -> Iterator[None]:
        """What is unsubscribed between two slices is no longer wanted."""
        refused: list[str] = []
        for start in range(0, len(asked), ORDERS_IN_A_SLICE):
            wanted = self._still_wanted(asked, asked[start : start + ORDERS_IN_A_SLICE])
            refused += [each.order for each in wanted if each.order not in visible]
            if self._connection.is_closed:
                return
            requests = [
                TopicRequest(order_topic(w.order), w.epoch, w.version)
                for w in wanted
                if w.order in visible
            ]
            try:
                self._hub.catch_up(self._hub.subscribe(self._connection, requests))
            except ConnectionRefused as wrong:
                self._connection.fail(wrong.code, str(wrong))
                return
            yield
        self._refusals.say(refused, expired)

    def _still_wanted(self, asked: list[Wanted], part: list[Wanted]) -> list[Wanted]:
        """Those of `part` that were not unsubscribed, or asked for anew, since they were `asked` for."""
        pending = self._pending or {}
        still = [each for each in part if pending.get(each.order) is asked]
        for each in still:
            pending.pop(each.order, None)
        self._pending = pending or None
        return still
