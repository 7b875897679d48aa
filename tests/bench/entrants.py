"""Who is measured: ours, the way of the tutorials, and Socket.IO. Each is started anew for every measurement."""

import itertools
import json
import os
import secrets
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from django.conf import settings

from backend.up import readiness, running
from orders.access import issue_grant
from orders.journal import queries
from realtime.protocol.messages import encode_event
from realtime.pubsub import names
from tests.bench import journal, machine
from tests.bench.publishing import ChannelLayer, Message, socketio_message, wait_for_subscribers
from tests.bench.sockets import Page, upgrade

SOCKETIO = machine.ROOT / "tests" / "bench" / "peers" / "socketio"
UVICORN = (
    *(machine.PYTHON, "-m", "uvicorn", "--host", "127.0.0.1", "--ws", "websockets-sansio"),
    *("--ws-per-message-deflate", "false", "--log-level", "warning", "--no-access-log"),
)


class Entrant(ABC):
    """One server. `orders` are the refs that pages may watch; `head` is the version that each begins at."""

    name: str
    head = 0
    hears_callbacks = False
    checks_positions = True

    def __init__(self) -> None:
        self.port = machine.free_port()
        self.orders: list[str] = []
        self._process: machine.Process | None = None

    @property
    def process(self) -> machine.Process:
        """The one that is measured. Only while it runs."""
        assert self._process, f"{self.name} has not been started"
        return self._process

    def said(self) -> str:
        return self._process.said() if self._process else ""

    @abstractmethod
    def start(self, orders: int) -> None:
        """Start it with so many orders, and with what callbacks take if there will be some."""

    @abstractmethod
    def page(self, ref: str) -> Page:
        """A page on that order."""

    def page_that_missed(self, ref: str, events: int) -> Page:  # noqa: ARG002 — for those who have one
        """One that comes back; without a history it merely comes."""
        return self.page(ref)

    @abstractmethod
    def message(self, ref: str, version: int) -> Message:
        """The event as it stands in Valkey's channel."""

    def settle(self) -> None:  # noqa: B027 — as a rule a page that is ready has joined
        """Wait until what is sent for any order is heard."""

    def commit(self, events: Sequence[tuple[str, int]]) -> None:  # noqa: B027 — nothing, as a rule
        """What stands behind the events; nothing, where there is no journal."""

    def stop(self) -> None:
        if self._process:
            self._process.close()


class Ours(Entrant):
    """Ordercast: `backend.asgi` as `manage.py up` starts it, on a real journal."""

    name = "ours"
    head = 2
    environment: Mapping[str, str] = {}

    def __init__(self) -> None:
        super().__init__()
        self._worker: machine.Process | None = None
        self._journal: journal.Journal | None = None
        self._templates: dict[str, tuple[str, str, str]] = {}

    def start(self, orders: int) -> None:
        self.orders = journal.make_orders(orders, with_payments=self.hears_callbacks)
        self._epoch = queries.epoch()
        self._journal = journal.Journal(os.environ["DATABASE_URL"])
        self._layer = ChannelLayer(settings.ORDERCAST_CHANNEL_PREFIX)
        if self.hears_callbacks:
            self._start_worker()
        self._process = machine.Process(
            self._command("web"), {**self.environment, **self._times()}, is_measured=True
        )
        self.process.wait_for_port(self.port)

    def _times(self) -> dict[str, str]:
        """Without position checks: events that are announced long before they are committed look like a failover."""
        if self.checks_positions:
            return {}
        module = self.environment.get("DJANGO_SETTINGS_MODULE", "tests.realtime.settings")
        return {"DJANGO_SETTINGS_MODULE": module, "TEST_REALTIME": '{"check": 3600}'}

    def _command(self, part: str) -> list[str]:
        """The very words of `manage.py up`."""
        options = {"host": "127.0.0.1", "port": self.port, "sandbox_port": 0}
        return running._command(part, options)

    def _start_worker(self) -> None:
        self._worker = machine.Process(self._command("worker"), {})
        for _ in range(30):
            if readiness.worker_answers():
                return
        raise machine.NotReady(f"the worker does not answer; it said: {self._worker.said()}")

    def page(self, ref: str) -> Page:
        return self.page_that_missed(ref, 0)

    def page_that_missed(self, ref: str, events: int) -> Page:
        # As a page of one order may do: with a grant for it in the address.
        cursor = f"epoch={self._epoch}&version={self.head}&token={issue_grant([ref])}"
        request = upgrade(f"/ws/orders/{ref}/?{cursor}", ["Sec-WebSocket-Protocol: orders.v1"])
        versions = range(self.head + 1, self.head + events + 1)
        return Page(
            ref,
            request,
            ready=(b'"synced"', *(b'"version":%d' % version for version in versions)),
        )

    def message(self, ref: str, version: int) -> Message:
        topic = names.order_topic(ref)
        hint = names.Hint(ref, self._epoch, version, self._frame(ref, version)).signed()
        return self._layer.message(names.group_name(topic), names.hint_message(topic, [hint]))

    def settle(self) -> None:
        # A page does not wait long for its group, since a position check covers it; here nothing may be lost.
        wait_for_subscribers([self.message(ref, 0)[0] for ref in self.orders])

    def commit(self, events: Sequence[tuple[str, int]]) -> None:
        counts: dict[str, int] = {}
        for ref, _ in events:
            counts[ref] = counts.get(ref, 0) + 1
        for by, refs in itertools.groupby(sorted(counts, key=lambda r: counts[r]), counts.get):
            assert self._journal
            self._journal.advance(list(refs), by or 0)

    def _frame(self, ref: str, version: int) -> str:
        """`messages.encode_event`'s own text, made once for each order and filled in: it is the load's time."""
        template = self._templates.get(ref)
        if template is None:
            template = self._templates[ref] = self._template(ref)
        return f"{version}".join(template)

    def _template(self, ref: str) -> tuple[str, str, str]:
        mark = 987_654_321
        first, second, third = encode_event(journal.record(ref, self._epoch, mark)).split(str(mark))
        return first, second, third

    def stop(self) -> None:
        super().stop()
        for part in (self._worker, self._journal):
            if part:
                part.close()


class ByCelery(Ours):
    """The same, where the page watches another web process than the one that took the callback: it hears by Celery."""

    name = "by_celery"
    environment: Mapping[str, str] = {
        "DJANGO_SETTINGS_MODULE": "tests.realtime.settings",
        "TEST_REALTIME": '{"direct": false}',
    }


class Plain(Ours):
    """The same, with sockets accepted by plain ASGI, as where middleware of the installation stands before them."""

    name = "plain"
    environment: Mapping[str, str] = {"ORDERCAST_FAST_ACCEPT": "off"}


class ByUvicorn(Plain):
    """The same by uvicorn's own sockets: what it costs to open and hold one, without anything of ours."""

    name = "by_uvicorn"

    def _command(self, part: str) -> list[str]:
        command = super()._command(part)
        if "--ws" in command:
            command[command.index("--ws") + 1] = "websockets-sansio"
        return command


class BySend(Ours):
    """The same, with each frame encoded and written by ASGI's `send` for each socket."""

    name = "by_send"
    environment: Mapping[str, str] = {"DJANGO_SETTINGS_MODULE": "tests.bench.settings_by_send"}


class ByHello(Ours):
    """The same, where the page says what it wants to see once it is connected, as `OrderStream` does in the browser."""

    name = "by_hello"

    def page_that_missed(self, ref: str, events: int) -> Page:
        found = super().page_that_missed(ref, events)
        held = {"epoch": self._epoch, "version": self.head, "grant": issue_grant([ref])}
        found.hello = json.dumps({"type": "hello", "subscribe": [{"order": ref, **held}]})
        found.request = upgrade("/ws/orders/", ["Sec-WebSocket-Protocol: orders.v1"])
        return found


class Tutorial(Entrant):
    """Channels as its tutorial shows it: the consumer joins the group, the view saves and sends to it."""

    name = "tutorial"

    def __init__(self, *, has_pool: bool = False) -> None:
        super().__init__()
        self._environment = {"TUTORIAL_POOL": "1"} if has_pool else {}

    def start(self, orders: int) -> None:
        self.orders = [secrets.token_hex(16) for _ in range(orders)]
        _make_tutorial_table(self.orders)
        self._layer = ChannelLayer("tutorial")
        command = [*UVICORN, "--port", str(self.port), "tests.bench.peers.tutorial.app:application"]
        self._process = machine.Process(command, self._environment, is_measured=True)
        self.process.wait_for_port(self.port)

    def page(self, ref: str) -> Page:
        return Page(ref, upgrade(f"/ws/orders/{ref}/"))

    def message(self, ref: str, version: int) -> Message:
        words = {"type": "order.changed", "message": event(ref, version)}
        return self._layer.message(f"order_{ref}", words)


class SocketIO(Entrant):
    """Socket.IO 4 with its Redis adapter, on Node. Events are emitted by a second process."""

    name = "socketio"

    def start(self, orders: int) -> None:
        self.orders = [secrets.token_hex(16) for _ in range(orders)]
        node = shutil.which("node") or "node"
        self._process = machine.Process(
            [node, str(SOCKETIO / "server.js"), str(self.port)],
            {"NODE_ENV": "production"},
            is_measured=True,
        )
        self.process.wait_for_port(self.port)

    def page(self, ref: str) -> Page:
        request = upgrade(f"/socket.io/?EIO=4&transport=websocket&order={ref}")
        return Page(ref, request, hello="40", ready=(b'"joined"',))

    def message(self, ref: str, version: int) -> Message:
        return socketio_message(ref, event(ref, version))


def event(ref: str, version: int) -> dict[str, Any]:
    """The event that the peers send: what stands in a frame of ours, so that all send as many bytes."""
    if not _event:
        _event.update(json.loads(encode_event(journal.record("0" * 32, "0" * 8, 0))))
    return {**_event, "order": ref, "version": version, "id": f"{ref}:{version}"}


_event: dict[str, Any] = {}


def _make_tutorial_table(refs: Sequence[str]) -> None:
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'tutorial'")
        if not found.fetchone():
            connection.execute("CREATE DATABASE tutorial")
    with psycopg.connect(url, dbname="tutorial") as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS tutorial_order (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
            "ref varchar(32) NOT NULL UNIQUE, state varchar(50) NOT NULL, version integer NOT NULL)"
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO tutorial_order (ref, state, version) VALUES (%s, 'created', 0)",
                [(ref,) for ref in refs],
            )


def what_socketio_lacks() -> str:
    """ "" if Node and Socket.IO are there (installed from the lock file if need be), or what is missing."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "Node or npm is missing"
    if (SOCKETIO / "node_modules" / "socket.io").exists():
        return ""
    done = subprocess.run(
        ["npm", "ci", "--silent"], cwd=SOCKETIO, capture_output=True, text=True, timeout=180, check=False
    )  # fmt: skip
    return f"npm ci failed: {done.stderr.strip()[-200:]}" if done.returncode else ""


ENTRANTS: dict[str, Callable[[], Entrant]] = {
    "ours": Ours,
    "by_celery": ByCelery,
    "by_hello": ByHello,
    "plain": Plain,
    "by_uvicorn": ByUvicorn,
    "by_send": BySend,
    "tutorial": Tutorial,
    "socketio": SocketIO,
}
