"""`BENCH=reconcile`: what a tick costs with 1,000 payments due among ever more that are not, and how fast truth comes.

The provider is the sandbox, a process of its own, whose callbacks nobody hears. The many are made by SQL: nine in ten
closed, the rest on their timetables, each with its payment; they have no events, of which a tick reads none.
BENCH_ORDERS names the populations; 5,000,000 is among them where the disk has 20 GB to spare.
"""

import json
import os
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import NOT_PROVIDED, Max, Model, QuerySet
from django.test import override_settings
from django.utils import timezone

from orders.commands import lifecycle, provider_calls
from orders.domain.cause import Cause, Source
from orders.models import Order, OrderEvent, Payment, PaymentCheck
from orders.payments import registry
from tests.bench.machine import given
from tests.sandbox import SandboxProcess, sandbox
from workers import reconciler

Say = Callable[[str], None]
API = Cause(Source.API, "bench")
DUE = int(given("BENCH_DUE", 1_000))
ROUNDS = int(given("BENCH_ROUNDS", 3))
TICK = 5.0  # seconds between ticks while the lost callbacks are made good
PATIENCE = 120.0
GB = 2**30

# One in ten is open. What is not said here is as in a new row of the model.
_IS_OPEN = "n %% 10 = 0"
_ORDER = {
    "ref": "md5('bench' || n)",
    "state": f"CASE WHEN {_IS_OPEN} THEN 'awaiting_payment' ELSE 'paid' END",
    "captured": f"CASE WHEN {_IS_OPEN} THEN 0 ELSE 1000 END",
    "version": "3",
    "expires_at": "now() + interval '1 day'",
}
_PAYMENT = {
    "order_id": "o.id",
    "ref": "o.ref",
    "provider_ref": "'pay_' || o.ref",
    "status": "CASE WHEN o.state = 'paid' THEN 'captured' ELSE 'pending' END",
    "captured": "o.captured",
    "next_check_at": "CASE WHEN o.state = 'paid' THEN NULL ELSE now() + interval '3 hours' * (1 + random()) END",
}


def run(say: Say) -> str:
    """All populations, then the lost callbacks; returns the BENCH line."""
    with (
        sandbox() as provider,
        override_settings(
            ORDERCAST_PROVIDERS={"house": _settings(provider)},
            ORDERCAST_PUBLIC_URL="http://127.0.0.1:9",  # nobody listens: every callback is lost
            ORDERCAST_PROVIDER_RATE=10_000,
        ),
    ):
        registry.cache_clear()
        began = [_begin() for _ in range(DUE)]
        costs = {}
        for count in _populations():
            _grow_to(count, say)
            costs[count] = _cost_of_a_tick(began, count, say)
        Payment.objects.filter(pk__in=began).update(next_check_at=None)
        lost = _lost_callbacks(provider, say)
    ticks = [cost["tick_s"] for cost in costs.values()]
    spent = [cost["cpu_s"] for cost in costs.values()]
    searches = [cost["search_ms"] for cost in costs.values()]
    line = {
        "bench": "reconcile",
        "key": "flatness",
        "due": DUE,
        "orders": list(costs),
        "flatness": round(max(ticks) / min(ticks), 2),
        "flatness_cpu": round(max(spent) / min(spent), 2),
        "flatness_search": round(max(searches) / min(searches), 2),
        "tick_s": ticks,
        "cpu_s": spent,
        "search_ms": searches,
        "polls_per_s": round(DUE / min(ticks)),
        **lost,
    }
    return "BENCH " + json.dumps(line)


def _settings(provider: SandboxProcess) -> dict[str, object]:
    return {
        "url": provider.url,
        "key": provider.key,
        "webhook_secrets": [provider.secret],
        "timeout": 5.0,
    }


def _begin() -> int:
    order, _ = lifecycle.create_order(total=1_000, currency="EUR", cause=API)
    return provider_calls.start_payment(order.ref, mode="callback", cause=API).pk


def _populations() -> list[int]:
    if named := os.environ.get("BENCH_ORDERS"):
        return [int(count) for count in named.split(",")]
    free = shutil.disk_usage(os.environ["ORDERCAST_DATA"]).free
    return [10_000, 1_000_000, *([5_000_000] if free > 20 * GB else [])]


def _grow_to(count: int, say: Say) -> None:
    """Fill up with orders that are not due, until there are `count`."""
    began = time.perf_counter()
    step = 250_000
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        have = Order.objects.count()
        order = Order(total=1_000, currency="EUR")
        payment = Payment(
            provider="house", amount=1_000, currency="EUR", profile="waiting", step=10
        )
        while have < count:
            top = Order.objects.aggregate(top=Max("pk"))["top"]
            more = min(step, count - have)
            _insert(cursor, order, _ORDER, f"generate_series({have}, {have + more - 1}) AS n")
            _insert(cursor, payment, _PAYMENT, f"orders_order o WHERE o.id > {top}")
            have += more
        cursor.execute("SET synchronous_commit = on")
        cursor.execute("VACUUM ANALYZE orders_order, orders_payment")
        cursor.execute("CHECKPOINT")
    say(f"reconcile  {count:,} orders made in {time.perf_counter() - began:.0f} s")


def _insert(cursor: CursorWrapper, template: Model, said: dict[str, str], source: str) -> None:
    """A row for each of the source's: what is said as SQL, and everything else as the template has it."""
    fields = {str(f.column): f for f in template._meta.concrete_fields if not f.primary_key}
    # The database's own defaults come by leaving the column out.
    fields = {name: f for name, f in fields.items() if name in said or f.db_default is NOT_PROVIDED}
    words = ", ".join(said.get(name, "%s") for name in fields)
    rest = [
        field.get_db_prep_save(field.pre_save(template, True), connection)
        for name, field in fields.items()
        if name not in said
    ]
    names = ", ".join(fields)
    table = template._meta.db_table
    cursor.execute(f"INSERT INTO {table} ({names}) SELECT {words} FROM {source}", rest)  # noqa: S608 — our own names


def _cost_of_a_tick(due: list[int], count: int, say: Say) -> dict[str, float]:
    """The cheapest of several: a whole tick over the due ones, and one with nothing due, which is the search alone.

    What else the machine does makes a round dearer and never cheaper. `cpu_s` is this process's and PostgreSQL's.
    """
    payments = Payment.objects.filter(pk__in=due)
    searches, ticks, spent = [], [], []
    for _ in range(ROUNDS):
        payments.update(next_check_at=None)
        for _ in range(10):
            began = time.perf_counter()
            reconciler.tick()
            searches.append((time.perf_counter() - began) * 1000)
        payments.update(next_check_at=timezone.now(), step=0)
        began, cpu = time.perf_counter(), _cpu_seconds()
        checked = reconciler.tick().checked
        ticks.append(time.perf_counter() - began)
        spent.append(_cpu_seconds() - cpu)
        assert checked == len(due), f"{checked} of {len(due)} were checked"
    cost = {
        "tick_s": round(min(ticks), 3),
        "cpu_s": round(min(spent), 3),
        "search_ms": round(min(searches), 2),
    }
    say(f"reconcile  {count:,} orders  {cost}")
    return cost


def _cpu_seconds() -> float:
    """What this process and PostgreSQL have spent; the sandbox stands for another's machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0]).parent()
    assert server is not None
    alive = [child.cpu_times() for child in server.children()]
    spent: float = time.process_time()
    spent += sum(server.cpu_times()[:4]) + sum(t.user + t.system for t in alive)
    return spent


def _lost_callbacks(provider: SandboxProcess, say: Say) -> dict[str, float]:
    """A thousand customers pay, nobody is told: how long until all is true, and how often each was asked about."""
    with ThreadPoolExecutor(1) as shop:
        selling = shop.submit(lambda: [_sell(provider) for _ in range(DUE)])
        began = time.perf_counter()
        while time.perf_counter() - began < PATIENCE:
            next_tick = time.perf_counter() + TICK
            is_sold = selling.done()
            reconciler.tick()
            if is_sold and not _open(selling.result()).exists():
                break
            time.sleep(max(0.0, next_tick - time.perf_counter()))
        payments = selling.result()
    waits = [
        (row.at - row.order.created_at).total_seconds()
        for row in OrderEvent.objects.filter(
            order__payments__in=payments, type="payment.captured"
        ).select_related("order")
    ]
    looks = Counter(
        PaymentCheck.objects.filter(payment__in=payments).values_list("payment", flat=True)
    )
    line = {
        "lost": DUE,
        "lost_true": DUE - _open(payments).count(),
        "lost_p50_s": round(statistics.median(waits), 1),
        "lost_max_s": round(max(waits), 1),
        "lost_most_looks": max(looks.values(), default=0),
    }
    say(f"reconcile  callbacks lost: {line}; the first step is 10 s, a tick {TICK:.0f} s")
    return line


def _sell(provider: SandboxProcess) -> int:
    """An order whose customer pays at once."""
    try:
        payment = Payment.objects.get(pk=_begin())
        provider.act(payment.provider_ref, "pay")
        return payment.pk
    finally:
        connection.close()


def _open(payments: list[int]) -> QuerySet[Order]:
    return Order.objects.filter(payments__in=payments).exclude(state="paid")
