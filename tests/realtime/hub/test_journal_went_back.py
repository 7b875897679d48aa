"""A journal that went back, by a failover to a late standby or by a restore: nobody is shown what it has lost."""

from collections.abc import AsyncIterator

import pytest

from realtime.hub.hub import Hub
from realtime.pubsub.names import Hint, order_topic
from realtime.runtime.limits import Timing
from tests.realtime.hub.playing import EPOCH, REFS, Client, Journal, event, from_version
from tests.waiting import eventually_async

REF = REFS[0]
TOPIC = order_topic(REF)


def hear(hub: Hub, *versions: int) -> None:
    hub.hear(TOPIC, [Hint(REF, EPOCH, v, event(REF, v).text) for v in versions])


@pytest.fixture
async def live(hub: Hub, journal: Journal) -> Client:
    """A page that stands at version 8, of which the topic's ring holds 6 to 8."""
    journal.heads_of[REF] = 5
    client = Client(hub)
    client.watch(from_version(REF, 5))
    await client.synced(REF)
    journal.heads_of[REF] = 8
    hear(hub, 6, 7, 8)
    assert client.versions(REF) == [6, 7, 8]
    return client


async def is_given_a_snapshot(client: Client, version: int) -> None:
    def newest() -> tuple[str, int]:
        frame = client.frames[-1]
        return frame.get("mode", ""), frame["version"]

    await eventually_async(lambda: newest() == ("snapshot", version))


async def test_a_hole_that_is_read_finds_it(hub: Hub, journal: Journal, live: Client) -> None:
    journal.heads_of[REF] = 5
    hub.heal(hub.topics.values())

    await is_given_a_snapshot(live, 5)
    assert [frame.version for frame in hub.topics[TOPIC].ring] == []


async def test_a_page_that_comes_is_not_shown_what_only_the_ring_holds(
    hub: Hub, journal: Journal, live: Client
) -> None:
    journal.heads_of[REF] = 6
    fresh = Client(hub)
    fresh.watch(from_version(REF, None))
    await fresh.synced(REF)

    assert fresh.versions(REF) == [6]
    await is_given_a_snapshot(live, 6)


async def test_a_page_that_comes_back_from_before_gets_what_the_journal_has(
    hub: Hub, journal: Journal, live: Client
) -> None:
    journal.heads_of[REF] = 6
    back = Client(hub)
    back.watch(from_version(REF, 4))  # further back than the ring
    await back.synced(REF)

    assert back.versions(REF) == [5, 6]


async def test_a_page_that_is_away_meanwhile_begins_anew(
    hub: Hub, journal: Journal, live: Client
) -> None:
    slow = Client(hub)
    slow.watch(from_version(REF, 8))
    await slow.synced(REF)
    journal.heads_of[REF] = 9
    slow.takes = 0
    hear(hub, 9)  # it lags from here on, at version 9
    assert slow.connection.is_lagging

    journal.heads_of[REF] = 5
    hub.heal(hub.topics.values())
    await is_given_a_snapshot(live, 5)
    journal.heads_of[REF] = 12  # by now its cursor would seem to be one of this history
    hear(hub, 6, 7, 8, 9, 10, 11, 12)
    slow.reads(100)

    await is_given_a_snapshot(slow, 12)


async def test_the_new_history_goes_on_from_there(hub: Hub, journal: Journal, live: Client) -> None:
    journal.heads_of[REF] = 5
    hub.heal(hub.topics.values())
    await is_given_a_snapshot(live, 5)

    journal.heads_of[REF] = 6
    hear(hub, 6)

    assert live.versions(REF)[-2:] == [5, 6]


async def test_one_reading_alone_changes_nothing(hub: Hub, journal: Journal, live: Client) -> None:
    """As of a standby that answered once."""
    asked = hub.topics[TOPIC].position
    journal.heads_of[REF] = 5
    reading = journal.read({REF: 8})[REF]
    journal.heads_of[REF] = 8

    hub.apply(hub.topics[TOPIC], reading, asked)
    hub.apply(hub.topics[TOPIC], reading, asked)  # for another page that asked in the same query
    hub.heal(hub.topics.values())
    await eventually_async(lambda: not hub.topics[TOPIC].is_reading)

    assert live.versions(REF) == [6, 7, 8]
    assert hub.topics[TOPIC].position == (EPOCH, 8)


async def test_a_reading_that_hints_have_overtaken_is_no_journal_that_went_back(
    hub: Hub, journal: Journal, live: Client
) -> None:
    topic = hub.topics[TOPIC]
    asked, reading = topic.position, journal.read({REF: 8})[REF]
    again = journal.read({REF: 8})[REF]
    journal.heads_of[REF] = 9
    hear(hub, 9)

    hub.apply(topic, reading, asked)
    hub.apply(topic, again, asked)

    assert live.versions(REF) == [6, 7, 8, 9]
    assert topic.position == (EPOCH, 9)


@pytest.fixture
async def checking(journal: Journal) -> AsyncIterator[Hub]:
    made = Hub([journal], Timing(check=0.05))
    made.start()
    yield made
    await made.stop()


async def test_the_position_check_finds_it(checking: Hub, journal: Journal) -> None:
    journal.heads_of[REF] = 8
    client = Client(checking)
    client.watch(from_version(REF, 8))
    await client.synced(REF)

    journal.heads_of[REF] = 5

    await is_given_a_snapshot(client, 5)


async def test_an_order_that_is_gone_from_it_is_over(checking: Hub, journal: Journal) -> None:
    journal.heads_of[REF] = 8
    client = Client(checking)
    client.watch(from_version(REF, 8))
    await client.synced(REF)

    del journal.heads_of[REF]

    await eventually_async(lambda: client.refused)
    assert not client.connection.subscriptions
