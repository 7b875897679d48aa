"""Real races: threads on PostgreSQL with callback, poll and staff at one order at once, again and again."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection
from django.test import Client

from orders.commands import lifecycle, provider_calls, refresh, refunds
from orders.domain.errors import OrderError
from orders.journal import verify
from orders.models import CallbackReceipt, Order, OrderEvent, Payment
from tests.prove import provider, truth
from tests.prove.machine import API, STAFF, TOTAL
from tests.prove.rows import everything_is_due, histories
from workers import reconciler

ROUNDS = 6


def _at_once(*works: Callable[[], Any]) -> None:
    """Run all of them in threads that start at one moment; what an order refuses is no failure."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        gate.wait()
        try:
            work()
        except OrderError:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result()


def _call_back(told: tuple[str, bytes]) -> None:
    event, body = told
    headers = {"X-Event": event, "X-Signature": provider.sign(body)}
    answer = Client().post(
        "/callbacks/model/", body, content_type="application/json", headers=headers
    )
    assert answer.status_code == 200


def _poll() -> None:
    reconciler.tick()


def _begun(world: provider.World) -> tuple[Order, Payment]:
    order, _ = lifecycle.create_order(total=TOTAL, currency="EUR", cause=API)
    return order, provider_calls.start_payment(order.ref, mode="callback", cause=API)


def _judge(order: Order, *accounts: provider.Account) -> None:
    everything_is_due()
    reconciler.tick()
    order = Order.objects.get(pk=order.pk)
    events = histories([order.ref])[order.ref]
    ours = truth.Ours(
        state=order.state,
        total=order.total,
        captured=order.captured,
        refunded=order.refunded,
        flags=set(order.flags),
        called=set(order.flags),
    )
    assert truth.wrong_in_history(events) == []
    assert truth.wrong_at_the_end(ours, accounts) == []
    assert not list(verify.differences(lambda _: None))


def test_a_callback_its_double_a_poll_and_staff_meet_at_one_order(model: provider.World) -> None:
    for _ in range(ROUNDS):
        order, payment = _begun(model)
        model.act(payment.ref, "pay")
        everything_is_due()

        _at_once(
            lambda: _call_back(model.told[-1]),
            lambda: _call_back(model.told[-1]),
            _poll,
            lambda: refresh.refresh_order(order.ref, cause=STAFF),  # noqa: B023 — done within the round
        )

        paid = OrderEvent.objects.filter(order=order, type="payment.captured").count()
        assert (paid, CallbackReceipt.objects.count()) == (1, 1)
        CallbackReceipt.objects.all().delete()
        _judge(order, model.accounts[payment.ref])


def test_a_cancellation_meets_the_money(model: provider.World) -> None:
    for _ in range(ROUNDS):
        order, payment = _begun(model)

        _at_once(
            lambda: provider_calls.cancel_order(order.ref, reason="no", cause=API),  # noqa: B023 — the same
            lambda: model.act(payment.ref, "pay"),  # noqa: B023 — the same
            _poll,
        )

        _judge(order, model.accounts[payment.ref])


def test_two_refunds_of_everything_meet_and_one_goes_out(model: provider.World) -> None:
    for _ in range(ROUNDS):
        order, payment = _begun(model)
        model.act(payment.ref, "pay")
        refresh.refresh_order(order.ref, cause=STAFF)

        def give_all_back(ref: str = order.ref) -> None:
            refunds.request_refund(ref, amount=None, reason="", cause=API)

        _at_once(
            give_all_back,
            give_all_back,
            lambda: _call_back(model.told[-1]),
            _poll,
        )

        account = model.accounts[payment.ref]
        assert [refund.amount for refund in account.refunds] == [TOTAL]
        model.act(payment.ref, "settle_refund")
        _judge(order, account)


def test_news_out_of_order_from_many_sides_ends_at_the_truth(model: provider.World) -> None:
    for _ in range(ROUNDS):
        order, payment = _begun(model)
        for action in ("process", "authorise", "pay", "dispute", "win_dispute", "refund"):
            model.act(payment.ref, action)
        told = model.told[-6:]

        _at_once(*[lambda news=news: _call_back(news) for news in told], _poll)

        _judge(order, model.accounts[payment.ref])


def test_two_attempts_that_succeed_at_once_are_flagged_as_overpaid(model: provider.World) -> None:
    for _ in range(ROUNDS):
        order, first = _begun(model)
        second = provider_calls.start_payment(order.ref, mode="callback", cause=API)
        model.act(first.ref, "pay")
        model.act(second.ref, "pay")

        _at_once(lambda: _call_back(model.told[-1]), lambda: _call_back(model.told[-2]), _poll)

        _judge(order, model.accounts[first.ref], model.accounts[second.ref])
        assert "overpaid" in Order.objects.get(pk=order.pk).flags
