"""A shop that uses Ordercast: it knows addresses and a token, and nothing of the inside."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.story.teller import Teller

PATIENCE = 20.0  # seconds that a page is waited for


@dataclass
class Order:
    ref: str
    grant: str
    page: str


@dataclass
class Page:
    """What a page that watches one order has seen: its cursor, its state, and every event."""

    socket: ClientConnection
    order: str
    epoch: str = ""
    version: int = 0
    state: str = ""
    mode: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    async def synced(self) -> None:
        """Wait until the server says where the order stands."""
        while not self.mode:
            self._take(await self._next())

    async def sees(self, event: str) -> dict[str, Any]:
        """Wait for an event of this type, unless it was seen already."""
        while True:
            for seen in self.events:
                if seen["event"] == event:
                    return seen
            self._take(await self._next())

    async def becomes(self, state: str, within: float = PATIENCE) -> None:
        """Wait until the page shows the state, for `within` seconds at most."""
        deadline = asyncio.get_running_loop().time() + within
        while self.state != state:
            left = deadline - asyncio.get_running_loop().time()
            self._take(await self._next(max(0.0, left)))

    async def _next(self, patience: float = PATIENCE) -> dict[str, Any]:
        try:
            async with asyncio.timeout(patience):
                frame: dict[str, Any] = json.loads(await self.socket.recv())
        except TimeoutError:
            seen = ", ".join(e["event"] for e in self.events) or "nothing"
            raise AssertionError(f"the page shows {self.state!r}; it has seen {seen}") from None
        return frame

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "error":
            raise AssertionError(f"the socket says {frame['code']}: {frame['message']}")
        if frame["type"] == "synced":
            self.epoch, self.mode = frame["epoch"], frame["mode"]
            for event in frame.get("events") or []:
                self._apply(event)
            if frame["mode"] == "snapshot":
                self.state = (
                    frame["state"]["state"] if isinstance(frame["state"], dict) else frame["state"]
                )
            self.version = frame["version"]
        elif frame["type"] == "event":
            self._apply(frame)

    def _apply(self, event: dict[str, Any]) -> None:
        if self.version and event["version"] != self.version + 1:
            raise AssertionError(f"version {event['version']} came after {self.version}")
        self.version, self.state = event["version"], event["state"]
        self.events.append(event)


class Shop:
    """The API of one Ordercast, a customer at the provider's checkout, and pages over WebSocket."""

    def __init__(self, url: str, token: str, teller: Teller) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.step = teller.step
        headers = {"Authorization": f"Bearer {token}"}
        self.api = httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=30, trust_env=False
        )
        self.browser = httpx.AsyncClient(timeout=30, trust_env=False)

    async def close(self) -> None:
        await self.api.aclose()
        await self.browser.aclose()

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call the API; an error becomes one line with its code."""
        answer = await self.api.request(method, f"/api/{path}", json=body, headers=headers)
        if answer.is_error:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    async def order(self, amount: int, **sandbox: Any) -> Order:
        """An order; `sandbox` tells the provider how to misbehave with it."""
        metadata = {"sandbox": sandbox} if sandbox else {}
        body = {"amount": amount, "currency": "EUR", "metadata": metadata}
        made = await self.call("POST", "orders", body)
        return Order(made["ref"], made["grant"], made["page"])

    async def begin(self, order: Order, mode: str = "callback") -> dict[str, Any]:
        """Begin to pay; the payment, with its checkout address."""
        started = await self.call("POST", f"orders/{order.ref}/payments", {"mode": mode})
        payment: dict[str, Any] = started["payment"]
        return payment

    async def at_checkout(self, payment: dict[str, Any], action: str) -> None:
        """Press a button on the provider's checkout page."""
        answer = await self.browser.post(payment["checkout_url"], data={"action": action})
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise AssertionError(f"the checkout answered {answer.status_code}: {answer.text[:200]}")

    async def state(self, order: Order) -> dict[str, Any]:
        seen: dict[str, Any] = await self.call("GET", f"orders/{order.ref}")
        return seen

    async def events(self, order: Order) -> list[dict[str, Any]]:
        page = await self.call("GET", f"orders/{order.ref}/events?after=0&limit=300")
        events: list[dict[str, Any]] = page["events"]
        return events

    @asynccontextmanager
    async def page(self, order: Order, epoch: str = "", version: int = 0) -> AsyncIterator[Page]:
        """A page that watches the order, from a cursor if it holds one."""
        query = {"token": order.grant}
        if epoch:
            query |= {"epoch": epoch, "version": str(version)}
        scheme = "wss" if self.url.startswith("https") else "ws"
        address = (
            f"{scheme}://{urlsplit(self.url).netloc}/ws/orders/{order.ref}/?{urlencode(query)}"
        )
        async with connect(address, subprotocols=["orders.v1"], proxy=None) as socket:  # type: ignore[list-item]
            page = Page(socket, order.ref, epoch, version)
            await page.synced()
            yield page
