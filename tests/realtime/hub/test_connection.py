"""One connection of a hub: what happens to it is no other one's business."""

from realtime.hub.hub import Hub
from realtime.protocol.frames import Message
from realtime.pubsub.names import Hint, order_topic
from tests.realtime.hub.playing import EPOCH, REFS, Client, Journal, event, from_version


async def test_one_page_that_has_gone_does_not_keep_the_event_from_the_others(
    hub: Hub, journal: Journal
) -> None:
    ref = REFS[0]
    journal.heads_of[ref] = 1
    gone, other = Client(hub), Client(hub)
    for client in (gone, other):
        client.watch(from_version(ref, 1))
        await client.synced(ref)

    async def refuse(_message: Message) -> None:
        raise ConnectionError("gone")

    gone.connection.send = refuse
    hub.hear(order_topic(ref), [Hint(ref, EPOCH, 2, event(ref, 2).text)])

    assert other.versions(ref) == [2]
    assert gone.connection.is_closed
    assert gone.connection not in hub.connections
