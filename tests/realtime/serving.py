"""A real web process, and pages that watch it, for the tests of the realtime room."""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from backend.server import options
from tests.ports import free_port
from tests.waiting import eventually, eventually_async

ROOT = Path(__file__).resolve().parent.parent.parent
Frame = dict[str, Any]
ORDERS = "/ws/orders/"


class Server:
    """A real uvicorn on a thread of this process: it is there immediately, and sees the test's own settings."""

    def __init__(self) -> None:
        self.port = free_port()
        config = uvicorn.Config(
            "backend.asgi:application",
            port=self.port,
            lifespan="on",
            log_config=None,
            timeout_graceful_shutdown=1,
            **options.UVICORN_OPTIONS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started, 20)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> uvicorn.Config:
        return self._server.config

    @property
    def has_stopped(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


class ServerProcess:
    """A uvicorn process of its own, for what is about processes: signals, deaths, and what they log."""

    def __init__(self, environment: dict[str, str], **settings: float | str) -> None:
        """Names in capitals are variables of its environment, others change the hub's times."""
        variables = {name: str(value) for name, value in settings.items() if name.isupper()}
        times = {name: value for name, value in settings.items() if not name.isupper()}
        self.port = free_port()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 — as long as the process
        self._environment = {
            **environment,
            **variables,
            "DJANGO_SETTINGS_MODULE": "tests.realtime.settings",
            "TEST_REALTIME": json.dumps(times),
        }
        self.start()

    def start(self) -> None:
        """At the address that it had, where it has run before."""
        command = [
            *(sys.executable, "-m", "uvicorn", "backend.asgi:application"),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(
            [*command, *options.uvicorn_arguments(), "--timeout-graceful-shutdown", "3"],
            cwd=ROOT,
            env=self._environment,
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

        eventually(answers, 60, ignoring=(httpx.HTTPError,))
        return self

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@dataclass
class Page:
    """What a page has received. `versions` is the order's history as the page saw it."""

    socket: ClientConnection
    frames: list[Frame] = field(default_factory=list)
    closed: ConnectionClosed | None = None
    listening: "asyncio.Task[None] | None" = None

    def begin_to_read(self) -> None:
        self.listening = asyncio.create_task(self.listen())

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
        await self.until(lambda page: page.listening and page.listening.done(), timeout)
        return self.socket.close_code or 0


@asynccontextmanager
async def page(
    server: Server | ServerProcess,
    path: str = "",
    *,
    token: str | None = "",
    headers: dict[str, str] | None = None,
    reads: bool = True,
    **options: Any,
) -> AsyncIterator[Page]:
    """A page on `/ws/orders/<path>` with the service token, unless told otherwise."""
    token = settings.ORDERCAST_SERVICE_TOKEN if token == "" else token
    sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    options = {"ping_interval": None, "compression": None, "proxy": None, **options}
    async with connect(
        f"ws://127.0.0.1:{server.port}{ORDERS}{path}", additional_headers=sent, **options
    ) as socket:
        made = Page(socket)
        if reads:
            made.begin_to_read()
        try:
            yield made
        finally:
            if made.listening is not None:
                made.listening.cancel()
            # A page that does not read would wait for the close for ever.
            socket.transport.abort()


def cursor(epoch: str, version: int) -> str:
    return f"?epoch={epoch}&version={version}"


def socket_that_holds_little(port: int) -> socket.socket:
    """A connected socket whose system buffers almost nothing, so that a page that does not read is felt soon."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.connect(("127.0.0.1", port))
    made.setblocking(False)
    return made
