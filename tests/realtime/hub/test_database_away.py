"""PostgreSQL away while a page subscribes: it waits and is then in step, or is told honestly to come back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx

from orders import access
from orders.models import Order
from tests.chaos.wires import Wire
from tests.realtime.conftest import epoch, grow, grow_and_announce
from tests.realtime.serving import ServerProcess, page
from tests.realtime.viewers import watching
from tests.waiting import eventually_async

StartProcess = Callable[..., ServerProcess]
SERVICE = "demo-service-token"


@asynccontextmanager
async def database_line(child_environment: dict[str, str]) -> AsyncIterator[Wire]:
    """A line to PostgreSQL that can be taken away. The environment then names it."""
    url = urlsplit(child_environment["DATABASE_URL"])
    (folder,) = parse_qs(url.query)["host"]
    wire = Wire(lambda: [f"{folder}/.s.PGSQL.5432"])
    await wire.open()
    child_environment["DATABASE_URL"] = f"postgresql://postgres@127.0.0.1:{wire.port}{url.path}"
    try:
        yield wire
    finally:
        wire.close()


async def test_pages_that_subscribe_meanwhile_are_in_step_once_it_is_back(
    child_environment: dict[str, str], start_process: StartProcess, order: Order
) -> None:
    at = (await epoch(), 1)
    await grow(order, 2)
    async with database_line(child_environment) as line:
        server = await started(start_process)
        line.close()
        async with (
            watching("websocket", server, order.ref, token=SERVICE, cursor=at) as socket,
            watching("sse", server, order.ref, token=SERVICE, cursor=at) as stream,
        ):
            assert await waiting_at(server) == 2
            assert socket.standings == stream.standings == []
            await line.open()
            for each in (socket, stream):
                await each.until(lambda v: v.versions == [2, 3], 15)
            await grow_and_announce(order)
            for each in (socket, stream):
                await each.until(lambda v: v.versions == [2, 3, 4], 15)
                assert (each.standings, each.refusal) == ([("tail", 3)], None)


async def test_whoever_has_to_be_looked_up_is_told_to_come_back(
    child_environment: dict[str, str], start_process: StartProcess, order: Order
) -> None:
    grant = access.issue_grant([order.ref])
    async with database_line(child_environment) as line:
        server = await started(start_process)
        line.close()
        code, answer = await asyncio.gather(
            close_code(server, order, grant), asked_for_a_stream(server, order, grant)
        )

        assert code == 1011
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        await line.open()
        # It may be told so again, until the pool has noticed.
        is_back: bool = await eventually_async(lambda: comes_back(server, order, grant), 20)

    assert is_back


async def test_a_cookie_opens_no_staff_board_while_nobody_can_be_looked_up(
    child_environment: dict[str, str], start_process: StartProcess
) -> None:
    async with database_line(child_environment) as line:
        server = await started(start_process)
        line.close()
        async with httpx.AsyncClient(cookies={"sessionid": "x" * 32}, trust_env=False) as client:
            answer = await client.get(f"{server.url}/board/stream", timeout=15)

    assert answer.status_code == 503


async def comes_back(server: ServerProcess, order: Order, grant: str) -> bool:
    async with page(server, f"{order.ref}/", token=grant) as again:
        await again.until(lambda p: p.of("synced") or p.closed, 10)
        return bool(again.of("synced"))


async def close_code(server: ServerProcess, order: Order, grant: str) -> int:
    """After an error that says the same."""
    async with page(server, f"{order.ref}/", token=grant) as refused:
        code = await refused.close_code(15)
        assert refused.of("error")[-1]["code"] == code
        return code


async def asked_for_a_stream(server: ServerProcess, order: Order, grant: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {grant}"}
    async with httpx.AsyncClient(trust_env=False, timeout=20, headers=headers) as client:
        return await client.get(f"{server.url}/api/orders/{order.ref}/stream")


async def started(start_process: StartProcess) -> ServerProcess:
    """Once it answers, its database is there."""
    server = start_process()
    await asyncio.to_thread(server.wait)
    return server


async def waiting_at(server: ServerProcess) -> int:
    """How many are connected, as the process says that knows its database to be away."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        answer = await client.get(f"{server.url}/health/ready")
    assert answer.status_code == 503
    return int(answer.json()["hub"]["connections"])
