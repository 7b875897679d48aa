"""A real web process, and pages that watch it, for the tests of the realtime room."""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.plugin import free_port
from tests.waiting import eventually, eventually_async

ROOT = Path(__file__).resolve().parent.parent.parent
Frame = dict[str, Any]


class Server:
    """A uvicorn process that serves `backend.asgi`."""

    def __init__(self, environment: dict[str, str], **times: float) -> None:
        self.port = free_port()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 — as long as the process
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "backend.asgi:application",
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(
            [*command, "--ws", "websockets-sansio", "--timeout-graceful-shutdown", "3"],
            cwd=ROOT,
            env={
                **environment,
                "DJANGO_SETTINGS_MODULE": "tests.realtime.settings",
                "TEST_REALTIME": json.dumps(times),
            },
            stdout=self.log,
            stderr=self.log,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> Self:
        def answers() -> bool:
            assert self.process.poll() is None, self.output()
            return httpx.get(f"{self.url}/health/live", trust_env=False).is_success

        eventually(answers, 20, ignoring=(httpx.HTTPError,))
        return self

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def stop(self, number: int = signal.SIGTERM, timeout: float = 15) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@dataclass
class Page:
    """What a page has received. `versions` is the order's history as the page saw it."""

    socket: ClientConnection
    frames: list[Frame] = field(default_factory=list)
    closed: ConnectionClosed | None = None

    async def listen(self) -> None:
        try:
            async for text in self.socket:
                self.frames.append(json.loads(text) if text != "pong" else {"type": "pong"})
        except ConnectionClosed as closed:
            self.closed = closed

    async def say(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    def of(self, kind: str, order: str | None = None) -> list[Frame]:
        return [f for f in self.frames if f["type"] == kind and order in {None, f.get("order")}]

    def versions(self, order: str | None = None) -> list[int]:
        """Every version in the order in which it came, in a tail or alone."""
        seen: list[int] = []
        for frame in self.frames:
            if order not in {None, frame.get("order")}:
                continue
            if frame["type"] == "synced":
                seen += [event["version"] for event in frame.get("events", [])]
            elif frame["type"] == "event":
                seen.append(frame["version"])
        return seen

    async def until(self, what: Callable[["Page"], Any], timeout: float = 5) -> Any:  # noqa: ASYNC109 — it names what it waited for
        def found() -> Any:
            return what(self)

        try:
            return await eventually_async(found, timeout)
        except AssertionError as error:
            raise AssertionError(
                f"{error}; frames: {self.frames[-5:]}, closed: {self.closed}"
            ) from None

    async def synced(self, order: str | None = None) -> Frame:
        found: list[Frame] = await self.until(lambda page: page.of("synced", order))
        return found[-1]

    async def close_code(self, timeout: float = 5) -> int:  # noqa: ASYNC109 — the same
        await self.socket.wait_closed() if self.closed else None
        await self.until(lambda page: page.socket.close_code, timeout)
        return self.socket.close_code or 0


@asynccontextmanager
async def page(
    server: Server,
    path: str = "",
    *,
    token: str | None = "",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Page]:
    """A page on `/ws/orders/<path>` with the service token, unless told otherwise."""
    token = settings.ORDERCAST_SERVICE_TOKEN if token == "" else token
    sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    options = {"ping_interval": None, "compression": None, "proxy": None, **options}
    async with connect(
        f"ws://127.0.0.1:{server.port}/ws/orders/{path}", additional_headers=sent, **options
    ) as socket:
        made = Page(socket)
        listening = asyncio.ensure_future(made.listen())
        try:
            yield made
        finally:
            listening.cancel()


def cursor(epoch: str, version: int) -> str:
    return f"?epoch={epoch}&version={version}"
