"""One way to look at an order over three transports: WebSocket, server-sent events, and polling.

Each client follows the documented rules of its own transport and knows nothing of our code. What they saw is put in
the same words, so that one suite can hold all of them to the same guarantee.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.realtime.serving import Frame, Server, ServerProcess
from tests.waiting import eventually_async

POLL_EVERY = 0.05  # seconds
TAIL = 300  # versions; who is further behind starts again from a snapshot
Cursor = tuple[str, int]
# What a refusal over HTTP is called on a socket.
CLOSES = {
    "unauthenticated": 4001,
    "bad_token": 4003,
    "order_not_found": 4003,
    "invalid_request": 4003,
    "token_expired": 4005,
}


@dataclass
class View:
    """What one page has seen. `standings` is how it was brought in step: `(mode, version)` each time."""

    transport: str
    order: str
    token: str | None
    cursor: Cursor | None = None
    standings: list[tuple[str, int]] = field(default_factory=list)
    snapshot: Frame = field(default_factory=dict)
    events: list[Frame] = field(default_factory=list)
    recorded: list[Frame] = field(default_factory=list)  # every frame as it came
    refusal: int | None = None  # the close code, or what stands for it over HTTP

    @property
    def versions(self) -> list[int]:
        return [event["version"] for event in self.events]

    def take(self, frame: Frame) -> None:
        self.recorded.append(frame)
        if frame["type"] == "synced":
            for event in frame.get("events", ()):
                self.events.append(event)
            if frame["mode"] == "snapshot":
                self.snapshot = frame
            self.standings.append((frame["mode"], frame["version"]))
        elif frame["type"] == "event":
            self.events.append(frame)
        elif frame["type"] == "error":
            self.refusal = frame["code"]
        if frame["type"] in {"synced", "event"}:
            self.cursor = frame["epoch"], frame["version"]

    async def until(self, what: Callable[["View"], Any], timeout: float = 5) -> Any:  # noqa: ASYNC109 — it names what it waited for
        try:
            return await eventually_async(lambda: what(self), timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self}") from None

    async def in_step(self) -> tuple[str, int]:
        found: tuple[str, int] = await self.until(lambda v: v.standings and v.standings[-1])
        return found

    async def refused(self) -> int:
        code: int = await self.until(lambda v: v.refusal)
        return code


@asynccontextmanager
async def watching(
    transport: str,
    server: Server | ServerProcess,
    order: str,
    *,
    token: str | None,
    cursor: Cursor | None = None,
    recorded: list[Frame] | None = None,
) -> AsyncIterator[View]:
    """A page that watches `order` from `cursor`, until the block is left."""
    view = View(transport, order, token, cursor, recorded=[] if recorded is None else recorded)
    looking = {"websocket": _websocket, "sse": _event_stream, "polling": _polling}[transport]
    task = asyncio.create_task(looking(view, server.port))
    try:
        yield view
        if task.done():
            task.result()  # a client that failed by itself is no evidence
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _headers(view: View) -> dict[str, str]:
    return {"Authorization": f"Bearer {view.token}"} if view.token else {}


async def _websocket(view: View, port: int) -> None:
    query = f"?epoch={view.cursor[0]}&version={view.cursor[1]}" if view.cursor else ""
    async with connect(
        f"ws://127.0.0.1:{port}/ws/orders/{view.order}/{query}",
        additional_headers=_headers(view),
        proxy=None,
        compression=None,
        ping_interval=None,
        close_timeout=0.2,
    ) as socket:
        if not view.token:
            await socket.send(json.dumps({"type": "hello"}))
        with suppress(ConnectionClosed):  # the error before it says why
            async for text in socket:
                view.take(json.loads(text))


async def _event_stream(view: View, port: int) -> None:
    headers = _headers(view)
    if view.cursor:
        headers["Last-Event-ID"] = f"{view.cursor[0]}:{view.cursor[1]}"
    async with (
        httpx.AsyncClient(trust_env=False, timeout=None) as client,  # noqa: S113 — a stream has no end
        client.stream(
            "GET", f"http://127.0.0.1:{port}/api/orders/{view.order}/stream", headers=headers
        ) as answer,
    ):
        if await _is_refused(view, answer):
            return
        last_id = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                last_id = value
            elif name == "data":
                view.take(json.loads(value))
                assert view.cursor is None or last_id == f"{view.cursor[0]}:{view.cursor[1]}"


async def _polling(view: View, port: int) -> None:
    address = f"http://127.0.0.1:{port}/api/orders/{view.order}"
    async with httpx.AsyncClient(trust_env=False, headers=_headers(view)) as client:
        while True:
            etag = f'"{view.cursor[0]}:{view.cursor[1]}"' if view.cursor else ""
            answer = await client.get(address, headers={"If-None-Match": etag} if etag else {})
            if answer.status_code == httpx.codes.NOT_MODIFIED:
                if not view.standings and view.cursor:
                    view.standings.append(("current", view.cursor[1]))
            elif await _is_refused(view, answer):
                return
            else:
                await _catch_up(view, client, address, answer.json())
            await asyncio.sleep(POLL_EVERY)


async def _catch_up(view: View, client: httpx.AsyncClient, address: str, now: Frame) -> None:
    epoch, held = view.cursor or ("", 0)
    if epoch != now["epoch"] or not 0 <= now["version"] - held <= TAIL:
        state = {"mode": "snapshot", "version": now["version"], "epoch": now["epoch"]}
        view.take({**state, "type": "synced", "state": now["state"], "data": now})
        return
    answer = await client.get(f"{address}/events", params={"after": held, "limit": TAIL})
    page = answer.raise_for_status().json()
    if not view.standings:
        view.standings.append(("tail", page["version"]))
    for event in page["events"]:
        view.take({**event, "type": "event", "order": page["order"], "epoch": page["epoch"]})


async def _is_refused(view: View, answer: httpx.Response) -> bool:
    if answer.is_success:
        return False
    await answer.aread()
    view.refusal = CLOSES[answer.json()["code"]]
    return True
