"""One stream as this process follows it: its position, its recent frames, and the pages that watch it.

A page that is live stands exactly where its topic stands, so nothing is kept or compared for it while frames pass.
Its own cursor is written down when it stops being live, and counts until it is live again.
"""

from collections import deque
from typing import Any, NamedTuple, Protocol

from realtime.hub.journal_reader import Catchup
from realtime.hub.raw_send import try_write
from realtime.protocol.frames import Encoding, Frame, Message
from realtime.protocol.messages import Close, Synced
from realtime.pubsub.names import parse_topic

RING = 64  # recent frames of a topic; a page that missed no more of them comes back without a query
MAX_EARLY = 1_000  # frames beyond a hole that are kept; with more, the journal is read anyway


class Position(NamedTuple):
    epoch: str
    version: int


# An empty ring of its own costs each quiet topic 600 bytes.
_NOTHING: deque[Frame] = deque(maxlen=0)
COLD = Position("", 0)  # not read yet; no journal has this epoch


class Listener(Protocol):
    """What a topic writes to: a page, however it is connected. Hashed by identity."""

    encoding: Encoding
    protocol: Any  # what `raw_send.try_write` takes, where the server has it
    subscriptions: "dict[str, Subscription]"
    is_closed: bool
    is_lagging: bool

    def write(self, frame: Frame) -> None:
        """Write a frame of the protocol, or keep it until this can be written again."""

    def drive(self, message: Message) -> None:
        """Send a message without a task, and lag if it waits. Never raises: the client may have gone."""

    def refuse(self, key: str, why: Close) -> None:
        """The stream `key` is over."""

    def fail(self, code: Close, message: str) -> None:
        """All is over."""


class Subscription:
    """One page's place in one topic. `epoch` and `version` are its cursor, and stale while `is_live`; `is_answered`
    once it has had an answer."""

    __slots__ = ("epoch", "is_answered", "is_live", "listener", "topic", "version")

    def __init__(
        self, listener: Listener, topic: "Topic", epoch: str | None, version: int | None
    ) -> None:
        self.listener, self.topic = listener, topic
        # No journal's epoch is empty: that would be the place of a topic which nobody has read.
        self.epoch = epoch or None
        self.version = version if epoch else None
        self.is_live = self.is_answered = False

    def forget_cursor(self) -> None:
        """It is of no use: the answer is a snapshot."""
        self.epoch = self.version = None

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.listener.is_closed or self.topic.members.get(self.listener) is not self

    def go_live(self) -> None:
        """From here on it gets every frame. It must stand where its topic stands."""
        if self.topic.position != (self.epoch, self.version):
            raise RuntimeError(f"a page of {self.topic.name} went live away from its topic")
        self.is_live = True
        self.topic.live.setdefault(self.listener.encoding, {})[self.listener] = None

    def park(self) -> None:
        """Stop following; the cursor stays where the topic is now."""
        if self.is_live:
            self.is_live = False
            del self.topic.live[self.listener.encoding][self.listener]
            self.epoch, self.version = self.topic.position


class Topic:
    """A stream with a cursor: delivers version n + 1 after n, and drops what it has passed."""

    __slots__ = (
        "doubted_by",
        "early",
        "idle_since",
        "is_reading",
        "key",
        "kind",
        "live",
        "members",
        "name",
        "position",
        "ring",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind, self.key = parse_topic(name)
        self.position = COLD
        self.ring = _NOTHING  # without a hole, and ending at `position`
        self.early: dict[int, Frame] = {}  # beyond a hole, or come before the first read
        self.members: dict[Listener, Subscription] = {}
        self.live: dict[Encoding, dict[Listener, None]] = {}
        self.is_reading = False
        self.doubted_by: object = None  # the one reading so far that ended before `position`
        self.idle_since: float | None = None

    @property
    def is_cold(self) -> bool:
        return self.position is COLD

    def take(self, frame: Frame) -> bool:
        """A hint came. False: the journal has to be read, because of a hole or another epoch."""
        if self.is_cold:
            self._keep(frame)
            return True
        epoch, version = self.position
        if frame.epoch != epoch:
            return False
        if frame.version == version + 1:
            self._advance(frame)
            self._flush_early()
        elif frame.version > version:
            self._keep(frame)
            return False
        return True

    def apply(self, view: Catchup, asked: Position) -> bool:
        """The journal was read; `asked` is where this topic stood when the reading was asked for.

        False: the journal has more than this reading connects to, or ended before `asked`; read again from `position`.
        """
        if self.is_ahead(view.epoch, view.version, asked):
            if self.doubt(view):
                return False
            self._revert(view)
        elif self.is_cold:
            self.position = Position(view.epoch, view.version)
            for frame in view.frames:
                self._remember(frame)
        elif view.epoch != self.position.epoch or (
            # Where it was read from further back, it is some page that is too far behind, and not this topic.
            view.is_cut and view.after == self.position.version
        ):
            self._jump(view)
        else:
            for frame in view.frames:
                if frame.version == self.position.version + 1:
                    self._advance(frame)
        self.doubted_by = None
        self._flush_early()
        return self.position.version >= view.version

    def is_ahead(self, epoch: str, head: int, asked: Position) -> bool:
        """Whether a reading ends before the position that this topic had when it was asked for: either something
        stale has answered, or the journal went back, by a failover or a restore.

        What hints have brought since then is no sign of it: the reading may have begun before.
        """
        return self.position.epoch == asked.epoch == epoch and head < asked.version

    def doubt(self, reading: object) -> bool:
        """Note a reading of which `is_ahead` is true. False: it is the second, so the journal did go back.

        Each query makes one object, however many pages get it.
        """
        if self.doubted_by is None or self.doubted_by is reading:
            self.doubted_by = reading
            return True
        return False

    def lose(self) -> None:
        """The stream is gone, or cannot be read: whoever comes next reads it anew."""
        self.position, self.ring = COLD, _NOTHING
        self.early.clear()

    def is_behind(self, epoch: str, head: int) -> bool:
        """Whether the journal's head says that something was not delivered here."""
        return epoch != self.position.epoch or head > self.position.version

    def frames_after(self, version: int) -> list[Frame] | None:
        """The frames from `version` to here, or None where the ring does not reach back so far."""
        missing = self.position.version - version
        if missing < 0 or missing > len(self.ring):
            return None
        return [frame for frame in self.ring if frame.version > version] if missing else []

    def _keep(self, frame: Frame) -> None:
        if len(self.early) >= MAX_EARLY:
            self.early.clear()
        self.early[frame.version] = frame

    def _flush_early(self) -> None:
        while self.early:
            frame = self.early.pop(self.position.version + 1, None)
            if frame is None or frame.epoch != self.position.epoch:
                break
            self._advance(frame)
        if self.early:
            passed = [v for v in self.early if v <= self.position.version]
            for version in passed:
                del self.early[version]

    def _advance(self, frame: Frame) -> None:
        # The position moves first: a page that begins to lag in the middle is parked at this very version.
        self.position = Position(frame.epoch, frame.version)
        self._remember(frame)
        self._fan_out(frame)

    def _remember(self, frame: Frame) -> None:
        if self.ring is _NOTHING:
            self.ring = deque(maxlen=RING)
        self.ring.append(frame)

    def _jump(self, view: Catchup) -> None:
        self.position = Position(view.epoch, view.version)
        self.ring = _NOTHING
        self.early.clear()
        self._fan_out(snapshot(self, view))

    def _revert(self, view: Catchup) -> None:
        """The journal went back: all that was delivered beyond `view` is in it no more."""
        for subscription in self.members.values():
            # Later the same versions would mean other events.
            if not subscription.is_live and (subscription.version or 0) > view.version:
                subscription.forget_cursor()
        self._jump(view)

    def _fan_out(self, frame: Frame) -> None:
        for encoding, live in self.live.items():
            if not live:
                continue
            whole = encoding.whole(frame) if encoding.whole else b""
            # This loop is what the fan-out's speed hangs on. A frame that is the same for all is encoded for the
            # first and written as it is; where that cannot be, the send is driven by hand, without a task.
            for listener in tuple(live):
                protocol = listener.protocol
                if protocol is None or not try_write(protocol, whole):
                    listener.drive(frame.message(encoding))


def snapshot(topic: Topic, view: Catchup) -> Frame:
    """The frame that lets a page start again from what the journal's reading saw."""
    synced = Synced(
        order=topic.key,
        epoch=view.epoch,
        version=view.version,
        mode="snapshot",
        state=view.state,
        data=view.facts,
    )
    return Frame("synced", synced.encode(), view.epoch, view.version)
