"""How a page gets in step with its topics: from the ring, or from head and tail as the journal has them.

The same for a page that comes, for one that comes back, and for a socket that lagged.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from realtime.hub.journal_reader import HEAD_ONLY, Catchup, JournalReader
from realtime.hub.topic import Position, Subscription, Topic, snapshot
from realtime.protocol.frames import Frame
from realtime.protocol.messages import INTERNAL_ERROR, Close, encode_tail
from realtime.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)


class CatchUp:
    def __init__(
        self,
        readers: Mapping[str, JournalReader],
        supervisor: Supervisor,
        *,
        joined: Callable[[Iterable[str]], Awaitable[None]],
        apply: Callable[[Topic, Catchup, Position], None],
        refuse: Callable[[Subscription, Close], None],
    ) -> None:
        """`joined(topics)` waits, not for long, until hints of these are heard. `apply` takes what was read into a
        topic, with the position at which it was asked for. `refuse` ends a subscription whose stream cannot be read.
        """
        self._readers, self._supervisor = readers, supervisor
        self._joined, self._apply, self._refuse = joined, apply, refuse
        self._coming: list[Subscription] = []

    def soon(self, subscriptions: Iterable[Subscription]) -> None:
        """Bring pages in step with their topics, together with all that come in this turn of the loop: pages come back
        by the thousand.

        Waits as long as the database is away. Whoever is behind a page hears of a topic that does not exist, or cannot
        be read. A page that lags meanwhile is left to its connection, which comes back here by itself.
        """
        if not self._coming:
            asyncio.get_running_loop().call_soon(self._begin)
        self._coming += subscriptions

    def _begin(self) -> None:
        coming, self._coming = self._coming, []
        self._supervisor.spawn(self._synchronise(coming), "catch-up")

    async def _synchronise(self, subscriptions: list[Subscription]) -> None:
        # What this process holds already need not wait for the others.
        # Looked at before each: what is written for one can make its connection lag, and then the rest are not for
        # here.
        cold = [s for s in subscriptions if self._is_waiting(s) and not self._is_level(s)]
        await self._joined({s.topic.name for s in cold if s.topic.is_cold})
        while cold := [s for s in cold if self._is_waiting(s)]:
            readings = [
                (s, s.topic.position, self._readers[s.topic.kind].read(s.topic.key, _read_after(s)))
                for s in cold
                if self._is_waiting(s) and not self._is_level(s)
            ]
            for subscription, asked, reading in readings:
                view = await result_of(reading)
                try:
                    self._read(subscription, view, asked)
                except Exception:
                    logger.exception("catch-up of %s failed", subscription.topic.name)
                    subscription.listener.fail(Close.INTERNAL, INTERNAL_ERROR)

    def _read(self, subscription: Subscription, view: Catchup | Close, asked: Position) -> None:
        topic = subscription.topic
        if not isinstance(view, Close):
            self._apply(topic, view, asked)
            # What ends before its topic does not go together with what the ring holds; it is read again.
            if self._is_waiting(subscription) and topic.doubted_by is not view:
                self._sync_from_view(subscription, view)
        elif not subscription.is_over:
            self._refuse(subscription, view)

    def _is_waiting(self, subscription: Subscription) -> bool:
        is_busy = subscription.is_live or subscription.listener.is_lagging
        return not (is_busy or subscription.is_over)

    def _is_level(self, subscription: Subscription) -> bool:
        """Whether what this process holds was enough, and the page is in step."""
        topic = subscription.topic
        held = subscription.version
        if topic.is_cold or held is None or subscription.epoch != topic.position.epoch:
            return False
        frames = topic.frames_after(held)
        if frames is None:
            return False
        if frames or not subscription.is_answered:
            self._send_tail(subscription, frames)
        else:
            # Its connection lagged and it missed nothing. To say so for each of a thousand orders, again and again,
            # would fill what the client has just read away, and those behind them would never have their turn.
            subscription.go_live()
        return True

    def _sync_from_view(self, subscription: Subscription, view: Catchup) -> None:
        """Leaves the subscription as it is where the topic has moved on too far; it is read again then."""
        topic, held = subscription.topic, subscription.version
        if view.epoch != topic.position.epoch or self._is_level(subscription):
            return
        if view.is_cut and held is not None and held <= view.after:
            held = None
            subscription.forget_cursor()
        since = topic.frames_after(view.version)  # came by hint after the journal was read
        if since is None:
            return
        is_ours = held is not None and subscription.epoch == view.epoch
        if held is not None and is_ours and not view.is_cut and view.after <= held <= view.version:
            tail = [frame for frame in view.frames if frame.version > held]
            self._send_tail(subscription, tail + since)
            return
        subscription.epoch, subscription.version = view.epoch, view.version
        subscription.is_answered = True
        subscription.listener.write(snapshot(topic, view))
        if since and self._is_waiting(subscription):
            self._send_tail(subscription, since)
        elif self._is_waiting(subscription):
            subscription.go_live()

    def _send_tail(self, subscription: Subscription, frames: list[Frame]) -> None:
        topic = subscription.topic
        epoch, version = subscription.epoch, subscription.version = topic.position
        subscription.is_answered = True
        text = encode_tail(topic.key, epoch, version, [frame.text for frame in frames])
        subscription.listener.write(Frame("synced", text, epoch, version))
        # The write may have been the one that made the connection lag, or ended it.
        if self._is_waiting(subscription):
            subscription.go_live()


def _read_after(subscription: Subscription) -> int:
    """From where to read, so that both the page and its topic find what they miss."""
    topic = subscription.topic
    held = HEAD_ONLY if subscription.version is None else min(subscription.version, HEAD_ONLY)
    return held if topic.is_cold else min(held, topic.position.version)


async def result_of(reading: "asyncio.Future[Catchup | None]") -> Catchup | Close:
    """What the journal has, or what pages hear of a stream that is not there, or cannot be decoded."""
    try:
        return await reading or Close.FORBIDDEN
    except Exception as error:  # noqa: BLE001 — the reader has logged it
        logger.debug("stream not readable: %r", error)
        return Close.INTERNAL
