"""Customers and support: orders move through the API and the sandbox, whose faults are on."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos.ground import TOKEN

# Few orders that move often: only an order that moves again before a lost hint is found tests its finding.
MOVING = 10
TURNS = 25  # of one order, at most
# How each order's provider misbehaves.
FAULTS: tuple[dict[str, Any], ...] = (
    {"fault": "callback_lost", "count": 1},
    {"fault": "callback_delayed", "seconds": 1},
    {"fault": "callback_doubled"},
    {"fault": "callback_out_of_order", "seconds": 2},
    {"fault": "callback_forged"},
    {"fault": "answer_slow", "seconds": 0.3},
    {"fault": "answer_500"},
    {"fault": "answer_500", "after_work": True},
    {"fault": "answer_429"},
    {"fault": "answer_503"},
    {"fault": "connection_cut"},
)
AFTER_PAYING = ("refund", "refund", "refunds", "refunds", "dispute", "win_dispute", "api_refund")


@dataclass
class Moving:
    ref: str
    payment: str = ""
    turns: int = 0


class Load:
    """`some` is where pages choose from."""

    def __init__(self, api_url: str, sandbox_url: str, sandbox_key: str, seed: int) -> None:
        self.rng = random.Random(f"load:{seed}")
        limits = httpx.Limits(max_connections=40, max_keepalive_connections=0)
        options: dict[str, Any] = {"timeout": 8, "trust_env": False, "limits": limits}
        self._api = httpx.AsyncClient(
            base_url=api_url, headers={"Authorization": f"Bearer {TOKEN}"}, **options
        )
        self._sandbox = httpx.AsyncClient(
            base_url=sandbox_url, headers={"Authorization": f"Bearer {sandbox_key}"}, **options
        )
        self._idle: list[Moving] = []
        self.orders: list[str] = []
        self.failures = 0

    def some(self, rng: random.Random, count: int) -> list[str]:
        """Different orders, as a rule ones that still move."""
        young = self.orders[-2 * MOVING :]
        return rng.sample(young, min(count, len(young)))

    async def drive(self, pause: float) -> None:
        """One of several drivers; until cancelled."""
        while True:
            moving = await self._next()
            if moving is not None:
                try:
                    await self._move(moving)
                except (httpx.HTTPError, KeyError):
                    self.failures += 1
                moving.turns += 1
                if moving.turns < TURNS:
                    self._idle.append(moving)
            await asyncio.sleep(pause * self.rng.uniform(0.5, 1.5))

    async def _next(self) -> Moving | None:
        if len(self._idle) > MOVING or (self._idle and self.rng.random() < 0.85):
            return self._idle.pop(self.rng.randrange(len(self._idle)))
        faults = self.rng.sample(FAULTS, self.rng.choice((0, 1, 1, 2)))
        body = {
            "amount": 5_000,
            "currency": "EUR",
            "metadata": {"sandbox": {"faults": faults}},
        }
        try:
            made = (await self._api.post("/api/orders", json=body)).raise_for_status().json()
        except httpx.HTTPError:
            self.failures += 1
            return None
        self.orders.append(made["ref"])
        return Moving(made["ref"])

    async def _move(self, moving: Moving) -> None:
        if not moving.payment:
            started = await self._api.post(f"/api/orders/{moving.ref}/payments", json={})
            moving.payment = started.json()["payment"]["ref"]
            return
        if moving.turns < 3:
            action = self.rng.choice(("pay", "process", "authorise", "pay"))
        elif moving.turns == 3:
            action = "pay"
        else:
            action = self.rng.choice(AFTER_PAYING)
        if action == "api_refund":
            await self._api.post(f"/api/orders/{moving.ref}/refunds", json={"amount": 7})
            return
        times = 4 if action == "refunds" else 1
        action = {"refunds": "refund"}.get(action, action)
        body = {"action": action, "amount": 5 if action == "refund" else None}
        for _ in range(times):
            await self._sandbox.post(f"/control/payments/{moving.payment}/act", json=body)

    async def honest(self) -> None:
        """From here on the provider behaves."""
        await self._sandbox.put("/control/faults", json={"faults": []})

    async def close(self) -> None:
        await self._api.aclose()
        await self._sandbox.aclose()
