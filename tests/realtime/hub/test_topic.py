"""One topic against a model: whatever comes in whatever order, a page sees each version once, in order, to the end."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from realtime.hub.journal_reader import Catchup
from realtime.hub.topic import MAX_EARLY, RING, Position, Subscription, Topic
from realtime.protocol.frames import WEBSOCKET, Frame, Message
from realtime.pubsub.names import order_topic

EPOCH = "spring"
TAIL = 300


class Watcher:
    """A page that keeps up; `seen` is what was written to it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.encoding, self.protocol, self.is_closed = WEBSOCKET, None, False

    def drive(self, message: Message) -> None:
        self.seen.append(message["text"])


def frame(version: int, epoch: str = EPOCH) -> Frame:
    return Frame("event", str(version), epoch, version)


def view(after: int, version: int, epoch: str = EPOCH) -> Catchup:
    """What the journal holds after `after`."""
    is_cut = version - after > TAIL
    versions = () if is_cut else range(after + 1, version + 1)
    return Catchup(
        epoch=epoch, after=after, version=version, state="paid", facts={}, is_cut=is_cut,
        frames=tuple(frame(n, epoch) for n in versions),
    )  # fmt: skip


def followed(version: int) -> tuple[Topic, Watcher]:
    topic, page = Topic(order_topic("0" * 32)), Watcher()
    topic.apply(view(version, version), topic.position)
    connection: Any = page
    subscription = Subscription(connection, topic, EPOCH, version)
    topic.members[connection] = subscription
    subscription.go_live()
    return topic, page


steps = st.one_of(
    st.tuples(st.just("hint"), st.integers(1, 40)),
    st.tuples(st.just("read"), st.integers(0, 40)),
    st.tuples(st.just("foreign hint"), st.integers(1, 40)),
)


@given(st.lists(steps, max_size=60), st.integers(0, 5))
def test_hints_and_readings_in_any_order_show_each_version_once_and_in_order(
    told: list[tuple[str, int]], start: int
) -> None:
    topic, page = followed(start)
    for what, version in told:
        match what:
            case "hint":
                topic.take(frame(version))
            case "read":
                # Asked for before what hints have brought beyond it.
                asked = Position(EPOCH, min(topic.position.version, version))
                topic.apply(view(topic.position.version, version), asked)
            case "foreign hint":
                assert not topic.take(frame(version, "autumn"))
    topic.apply(view(topic.position.version, 40), topic.position)

    assert page.seen == [str(version) for version in range(start + 1, 41)]
    assert [each.version for each in topic.ring] == list(range(41 - len(topic.ring), 41))


def test_a_hole_asks_for_the_journal_and_what_came_early_is_kept() -> None:
    topic, page = followed(1)

    assert not topic.take(frame(4))
    assert page.seen == []
    assert topic.apply(view(1, 3), topic.position)
    assert page.seen == ["2", "3", "4"]


def test_what_comes_during_the_first_reading_follows_on_it() -> None:
    topic = Topic(order_topic("0" * 32))
    for early in (frame(3), frame(1), frame(9, "autumn"), frame(2)):
        assert topic.take(early)

    assert topic.apply(view(0, 1), topic.position)
    assert topic.position == (EPOCH, 3)
    assert [each.version for each in topic.ring] == [1, 2, 3]


def test_another_epoch_gives_every_page_a_snapshot() -> None:
    topic, page = followed(5)

    assert not topic.take(frame(6, "autumn"))
    assert topic.apply(view(5, 2, "autumn"), topic.position)
    assert '"mode":"snapshot"' in page.seen[0]
    assert topic.position == ("autumn", 2)


def test_a_topic_too_far_behind_gives_a_snapshot() -> None:
    topic, page = followed(1)

    assert topic.apply(view(1, 400), topic.position)
    assert [('"mode":"snapshot"' in text) for text in page.seen] == [True]
    assert topic.position.version == 400


def test_a_reading_that_does_not_connect_is_not_taken() -> None:
    topic, page = followed(1)

    assert not topic.apply(view(5, 8), topic.position)
    assert page.seen == []
    assert topic.position.version == 1


def test_the_ring_says_no_where_it_does_not_reach() -> None:
    topic, _ = followed(0)
    for version in range(1, RING + 11):
        topic.take(frame(version))
    head = topic.position.version

    assert topic.frames_after(head) == []
    reach = topic.frames_after(head - RING)
    assert reach is not None
    assert [each.version for each in reach] == list(range(head - RING + 1, head + 1))
    assert topic.frames_after(head - RING - 1) is None
    assert topic.frames_after(head + 1) is None


def test_what_comes_early_is_bounded() -> None:
    topic, _ = followed(0)
    for version in range(2, 2 * MAX_EARLY + 10):
        topic.take(frame(version))

    assert len(topic.early) <= MAX_EARLY
