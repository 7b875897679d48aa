"""What befalls a run besides kills: each once, by plan (`plan.TROUBLES`), and mended when its time is over."""

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import cycle

import httpx
import redis.asyncio
from django.conf import settings
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.chaos.ground import TOKEN
from tests.chaos.plan import Trouble
from tests.chaos.town import Town
from tests.chaos.wires import Wire

SKEW = 60.0  # seconds
FLOODING_SOCKETS = 40
WANTED_AT_ONCE = 1_000
BETWEEN = 1.05  # seconds between two subscriptions of a socket: within its limit

Say = Callable[[str], None]


class Troubles:
    """`locks` keep a part that is in trouble from being killed meanwhile, and the other way round."""

    def __init__(
        self, town: Town, wires: Sequence[Wire], locks: Mapping[str, asyncio.Lock], say: Say
    ) -> None:
        self._town, self._wires, self._locks, self._say = town, wires, locks, say
        self.had: Counter[str] = Counter()
        self.unknown_orders = 0  # that the flood has asked for
        self._ports = [web.port for web in town.webs]
        self._grant = ""

    async def prepare(self) -> None:
        """While all is well yet."""
        self._grant = await _a_grant(self._ports, time.monotonic() + 30)

    async def meet(self, trouble: Trouble, began: float) -> None:
        await asyncio.sleep(max(0.0, began + trouble.at - time.monotonic()))
        kinds: dict[str, Callable[[float], Awaitable[None]]] = {
            "guest_flood": self._guest_flood,
            "postgres_outage": self._postgres_outage,
            "proxy_404": self._proxy_404,
            "valkey_readonly": self._valkey_readonly,
            "worker_skewed": self._worker_skewed,
        }
        await kinds[trouble.name](trouble.lasts)
        self.had[trouble.name] += 1
        now = time.monotonic() - began
        self._say(f"{now:6.1f} s  {trouble.name} of {trouble.lasts:g} s is over")

    async def _postgres_outage(self, seconds: float) -> None:
        async with self._locks["postgres"]:
            await self._town.postgres.kill("immediate")
            await asyncio.sleep(seconds)
            await self._town.postgres.start()

    async def _valkey_readonly(self, seconds: float) -> None:
        """A replica of nobody: it reads, and refuses to write."""
        async with self._locks["valkey"], redis.asyncio.from_url(settings.VALKEY_URL) as client:
            await client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
            try:
                await asyncio.sleep(seconds)
            finally:
                await client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]

    async def _worker_skewed(self, seconds: float) -> None:
        """Its clock is ahead for one half of the time, and behind for the other."""
        worker = self._town.worker
        async with self._locks["worker"]:
            for skew in (SKEW, -SKEW, 0.0):
                await worker.kill("kill")
                worker.skew = skew
                await worker.start()
                await asyncio.sleep(seconds / 2 if skew else 0)

    async def _proxy_404(self, seconds: float) -> None:
        for wire in self._wires:
            wire.lose_target()
        await asyncio.sleep(seconds)
        for wire in self._wires:
            wire.find_target()

    async def _guest_flood(self, seconds: float) -> None:
        """As many sockets as a guest may have, and more, each within the limits of one."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as sockets:
            for number in range(FLOODING_SOCKETS):
                port = self._ports[number % len(self._ports)]
                sockets.create_task(self._flood(port, until))

    async def _flood(self, port: int, until: float) -> None:
        while time.monotonic() < until:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(
                    f"ws://127.0.0.1:{port}/ws/orders/",
                    additional_headers={"Authorization": f"Bearer {self._grant}"},
                    subprotocols=["orders.v1"],  # type: ignore[list-item]
                    proxy=None,
                    compression=None,
                    open_timeout=5,
                    close_timeout=0.5,
                ) as socket:
                    while time.monotonic() < until:
                        wanted = [{"order": secrets.token_hex(16)} for _ in range(WANTED_AT_ONCE)]
                        await socket.send(json.dumps({"type": "subscribe", "subscribe": wanted}))
                        self.unknown_orders += WANTED_AT_ONCE
                        await asyncio.sleep(BETWEEN)
            await asyncio.sleep(0.5)


async def _a_grant(ports: Sequence[int], until: float) -> str:
    """A guest's grant for an order of its own; "" if nobody gives one in time."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(trust_env=False, timeout=5, headers=headers) as client:
        for port in cycle(ports):
            if time.monotonic() > until:
                break
            with suppress(httpx.HTTPError, KeyError):
                body = {"amount": 5_000, "currency": "EUR"}
                made = await client.post(f"http://127.0.0.1:{port}/api/orders", json=body)
                return str(made.raise_for_status().json()["grant"])
            await asyncio.sleep(0.2)
    return ""
