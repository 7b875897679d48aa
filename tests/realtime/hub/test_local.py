"""What is committed in a web process reaches the pages of that process without Celery and without Valkey."""

import json
from collections.abc import Callable

from orders.commands import review
from orders.domain.cause import Cause, Source
from orders.models import Order
from realtime.hub import local
from realtime.pubsub.names import Hint
from tests.ports import free_port
from tests.realtime.conftest import NEVER, in_thread
from tests.realtime.serving import Server, page

API = Cause(Source.API, "shop")


def flag(order: Order, number: int) -> None:
    review.flag_order(order.ref, reason=f"test_{number}", detail="", cause=API)


async def test_a_page_sees_what_its_own_process_committed_while_valkey_and_worker_are_away(
    start_server: Callable[..., Server], order: Order
) -> None:
    server = start_server(f"redis://127.0.0.1:{free_port()}/0", direct=True, check=NEVER)
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()

        for number in range(3):
            await in_thread(flag, order, number)

        await watching.until(lambda seen: seen.versions() == [2, 3, 4])


async def test_what_comes_directly_and_through_valkey_is_seen_once(
    start_server: Callable[..., Server], order: Order
) -> None:
    server = start_server(direct=True, check=NEVER)
    async with page(server, f"{order.ref}/") as watching:
        await watching.synced()
        await in_thread(flag, order, 0)
        await watching.until(lambda seen: seen.of("event"))
        [event] = watching.of("event")

        local.deliver(Hint(order.ref, event["epoch"], event["version"], json.dumps(event)))
        await in_thread(flag, order, 1)

        await watching.until(lambda seen: 3 in seen.versions())
        assert watching.versions() == [2, 3]
