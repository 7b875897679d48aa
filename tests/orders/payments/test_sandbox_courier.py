"""The sandbox's courier forgets nothing, whenever it falls due."""

import asyncio
import contextlib
import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from orders.payments.sandbox import delivery as courier_module
from orders.payments.sandbox.delivery import Courier
from orders.payments.sandbox.desk import Desk
from orders.payments.sandbox.dialects.house import House
from orders.payments.sandbox.payments import Payment
from orders.payments.sandbox.store import Delivery, Store
from tests.orders.payments.receiver import Receiver
from tests.sandbox import SECRET


@pytest.mark.parametrize("due_at", [1000.5, 1001.5, 1002.5])
def test_what_falls_due_between_two_looks_at_the_clock_is_sent(
    tmp_path: Path, callbacks: Receiver, monkeypatch: pytest.MonkeyPatch, due_at: float
) -> None:
    clock = itertools.count(1000)  # a second later each time that it is asked
    asked = SimpleNamespace(time=lambda: float(next(clock)), perf_counter=time.perf_counter)
    monkeypatch.setattr(courier_module, "time", asked)
    store = Store(tmp_path / "sandbox.sqlite3")
    payment = Payment(
        merchant_ref="o1-a1", amount=100, currency="EUR", dialect="house", callback_url="unused"
    )
    store.save(payment)
    store.add_delivery(
        Delivery(
            payment=payment.provider_ref, event_id="evt_1", type="payment.captured", manner="",
            url=callbacks.url, body=b"{}", created_at=1000.0, due_at=due_at,
        )
    )  # fmt: skip

    async def until_delivered() -> None:
        courier = asyncio.create_task(
            Courier(Desk(store, "http://unused", [House()]), SECRET).run()
        )
        await asyncio.to_thread(callbacks.wait_for, 1)
        courier.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await courier

    asyncio.run(until_delivered())

    store.close()
    assert [came.event_id for came in callbacks.received] == ["evt_1"]
