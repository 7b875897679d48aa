"""What is particular to server-sent events. What holds for every transport stands in `test_conformance`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings

from orders import access
from orders.models import Order
from tests.realtime.conftest import NEVER, epoch, grow_and_announce
from tests.realtime.serving import Server
from tests.waiting import eventually_async

Start = Callable[..., Server]


@dataclass
class Stream:
    """What an event stream has said: each message as its fields, and the comments."""

    answer: httpx.Response
    messages: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    is_over: bool = False

    async def listen(self) -> None:
        message: dict[str, Any] = {}
        async for line in self.answer.aiter_lines():
            name, _, value = line.partition(": ")
            if not line and message:
                self.messages.append(message)
                message = {}
            elif line.startswith(":"):
                self.comments.append(line)
            elif name:
                message[name] = json.loads(value) if name == "data" else value
        self.is_over = True

    def versions(self) -> list[int]:
        seen: list[int] = []
        for message in self.messages:
            frame = message["data"]
            seen += [event["version"] for event in frame.get("events", [])]
            seen += [frame["version"]] if frame["type"] == "event" else []
        return seen

    async def until(self, what: Callable[["Stream"], Any]) -> Any:
        return await eventually_async(lambda: what(self))


@asynccontextmanager
async def stream(
    server: Server, order: Order, *, token: str | None = "", **headers: str
) -> AsyncIterator[Stream]:
    token = settings.ORDERCAST_SERVICE_TOKEN if token == "" else token
    sent = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
    async with (
        httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=None) as client,  # noqa: S113 — a stream has no end
        client.stream("GET", f"/api/orders/{order.ref}/stream", headers=sent) as answer,
    ):
        made = Stream(answer)
        if not answer.is_success:
            await answer.aread()
            yield made
            return
        listening = asyncio.create_task(made.listen())
        try:
            yield made
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@pytest.fixture
def server(start_server: Start) -> Server:
    return start_server(check=NEVER, sse_ping=0.3)


async def test_a_stream_begins_in_step_and_goes_on_with_cursors_as_ids(
    server: Server, order: Order
) -> None:
    word = await epoch()
    async with stream(server, order) as reading:
        await reading.until(lambda s: s.messages)
        await grow_and_announce(order, 2)
        await reading.until(lambda s: s.versions() == [2, 3])
        await reading.until(lambda s: s.comments)

    assert reading.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    told = [(m["event"], m["id"]) for m in reading.messages]
    assert told == [("synced", f"{word}:1"), ("event", f"{word}:2"), ("event", f"{word}:3")]


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (None, 401, "unauthenticated"),
        ("nonsense", 404, "order_not_found"),
        ("stranger's", 404, "order_not_found"),
        ("expired", 401, "token_expired"),
    ],
)
async def test_who_may_not_see_the_order_gets_a_problem(
    server: Server, order: Order, token: str | None, status: int, code: str
) -> None:
    tokens = {
        "stranger's": access.issue_grant(["0" * 32]),
        "expired": access.issue_grant([order.ref], timedelta(seconds=-1)),
    }
    async with stream(server, order, token=tokens.get(token or "", token)) as refused:
        problem = refused.answer.json()

    assert (refused.answer.status_code, problem["code"]) == (status, code)


async def test_an_order_that_does_not_exist_is_not_found_also_by_a_service(
    server: Server, order: Order
) -> None:
    async with stream(server, Order(ref="0" * 32)) as refused:
        not_there = refused.answer.json()
    async with stream(server, order, token="nonsense") as refused:
        not_yours = refused.answer.json()

    assert refused.answer.status_code == 404
    assert (not_there.pop("instance"), not_yours.pop("instance")) == (
        f"/api/orders/{'0' * 32}/stream",
        f"/api/orders/{order.ref}/stream",
    )
    assert not_there == not_yours


async def test_only_get_is_a_stream(server: Server, order: Order) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answer = await client.post(f"/api/orders/{order.ref}/stream")

    assert answer.status_code == 405
