"""The courier: lets happen what is due and delivers callbacks, each again until it gets a 2xx, as providers do.

At least once, in no promised order; one payment's events are not sent side by side, except the copies of one
event. What is under way when the process dies is sent again after its start.
"""

import asyncio
import contextlib
import random
import secrets
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import httpx

from orders.payments.sandbox.desk import Desk
from orders.payments.sandbox.store import Delivery

ANSWER_WITHIN = timedelta(seconds=10)
GIVE_UP_AFTER = timedelta(days=3)  # Stripe's, for live payments
LONGEST_PAUSE = timedelta(seconds=60)
NONSENSE = b'{"type": "payment.captured", "data": [1, 2'


def pause(tries: int, spread: float) -> float:
    """Seconds before the next try after `tries` of them; `spread` is 0 … 1, for ±20 %."""
    doubled = min(2.0 ** min(tries - 1, 10), LONGEST_PAUSE.total_seconds())
    return doubled * (0.8 + 0.4 * spread)


class Courier:
    """`time_scale` multiplies the pauses and the time after which it gives up."""

    def __init__(
        self, desk: Desk, secret: str, *, time_scale: float = 1.0, concurrency: int = 16
    ) -> None:
        self._desk, self._store = desk, desk.store
        self._true, self._forged = secret, "whsec_" + b64encode(secrets.token_bytes(32)).decode()
        self._time_scale, self._concurrency = time_scale, concurrency
        self._work = asyncio.Event()
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        desk.wake = self._work.set

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(
            timeout=ANSWER_WITHIN.total_seconds(), trust_env=False, follow_redirects=False
        ) as client:
            try:
                while True:
                    self._work.clear()
                    # One moment for a whole round: what falls due within it belongs to the next.
                    now = time.time()
                    while jobs := self._store.due_jobs(now):
                        for job in jobs:
                            self._desk.run_job(job)
                    self._start_deliveries(client, now)
                    await self._rest(now)
            finally:
                for task in self._under_way:
                    task.cancel()
                await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _rest(self, now: float) -> None:
        # Only what was not due at `now`: what was, and had no room, starts when a delivery ends.
        due_at = self._store.next_due(now)
        seconds = None if due_at is None else max(0.0, due_at - time.time())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._work.wait(), seconds)

    def _start_deliveries(self, client: httpx.AsyncClient, now: float) -> None:
        room = self._concurrency - len(self._under_way)
        if room <= 0:
            return
        busy = sorted({delivery.payment for delivery in self._under_way.values()})
        chosen: dict[str, str] = {}
        for delivery in self._store.due_deliveries(now, busy, room):
            if chosen.setdefault(delivery.payment, delivery.event_id) != delivery.event_id:
                continue
            task = asyncio.create_task(self._deliver(client, delivery))
            self._under_way[task] = delivery
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._work.set()
        if not task.cancelled() and (wrong := task.exception()):
            raise wrong

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        at, started = time.time(), time.perf_counter()
        status, error, is_taken = None, "", False
        try:
            headers, body = self._message(delivery)
            # A receiver that drips its answer would keep its place for ever.
            async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
                answer = await client.post(delivery.url, content=body, headers=headers)
            status = answer.status_code
            is_taken = self._desk.dialect_of(delivery).is_taken(status, answer.content)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as wrong:
            error = f"{type(wrong).__name__}: {wrong}"[:200]
        state, due_at = self._after(delivery, is_taken=is_taken)
        ms = (time.perf_counter() - started) * 1000
        self._store.note_try(
            delivery, at=at, status=status, error=error, ms=ms, state=state, due_at=due_at
        )

    def _after(self, delivery: Delivery, *, is_taken: bool) -> tuple[str, float]:
        now = time.time()
        if is_taken:
            return "delivered", now
        too_old = now - delivery.created_at > GIVE_UP_AFTER.total_seconds() * self._time_scale
        if delivery.is_once or too_old:
            return "given_up", now
        spread = random.random()  # noqa: S311 — jitter
        return "pending", now + pause(delivery.tries + 1, spread) * self._time_scale

    def _message(self, delivery: Delivery) -> tuple[dict[str, str], bytes]:
        body = NONSENSE if delivery.manner == "garbled" else delivery.body
        secret = self._forged if delivery.manner == "forged" else self._true
        dialect = self._desk.dialect_of(delivery)
        headers = dialect.headers(delivery.event_id, body, secret, datetime.now(UTC))
        # Cut off on the way: the signature is that of the whole.
        return headers, body[: len(body) // 2] if delivery.manner == "truncated" else body
