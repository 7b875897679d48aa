"""`BENCH=admin`: what the admin's pages and the staff board cost among a million orders.

The rows are made by SQL in a throw-away database: a million orders, payments, receipts and checks, two million events.
What is rare is old (flagged orders, charge-backs, unmatched callbacks), where a list that walks the newest first would
look longest. Each page is asked for through Django, logged in; each of its statements is run once more under EXPLAIN
ANALYZE, and what reads more than `MANY` rows of a table is told by name. BENCH_ADMIN_ORDERS and BENCH_ROUNDS shorten
it.
"""

import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings

from orders.domain.states import State
from orders.models import Order, Payment
from realtime.board.board import Board
from tests.bench.filling import fill
from tests.bench.machine import given
from tests.builders import an_order

Say = Callable[[str], None]
ORDERS = int(given("BENCH_ADMIN_ORDERS", 1_000_000))
ROUNDS = int(given("BENCH_ROUNDS", 15))
MANY = 50_000  # rows that one statement may read: lists count to 5,000; the board reads the last hour, but only once
ADMIN = "/admin/orders"


def run(say: Say) -> str:
    """Fills, asks for every page, and returns the BENCH line."""
    began = time.perf_counter()
    an_order()  # the journal's first, by the door
    counts = fill(ORDERS)
    say(f"admin  {counts} made in {time.perf_counter() - began:.0f} s")
    user = User.objects.create_superuser("bench-staff")
    client = Client()
    client.force_login(user)
    with override_settings(ALLOWED_HOSTS=[*settings.ALLOWED_HOSTS, "testserver"]):
        costs, many = {}, {}
        for name, address in _pages().items():
            costs[name], read = _cost(client, address)
            if read > MANY:
                many[name] = read
            say(
                f"admin  {name:<26} p50 {costs[name]['p50_ms']:>7} ms  worst {costs[name]['worst_ms']:>7} ms"
            )
    board = _board()
    say(f"admin  the board's figures: {board}")
    line = {
        "bench": "admin",
        "key": "worst_ms",
        **counts,
        "rounds": ROUNDS,
        "worst_ms": max(cost["worst_ms"] for cost in costs.values()),
        "slowest": max(costs, key=lambda name: costs[name]["worst_ms"]),
        "reads_many": many,
        **board,
        "pages": {name: [cost["p50_ms"], cost["worst_ms"]] for name, cost in costs.items()},
    }
    return "BENCH " + json.dumps(line)


def _pages() -> dict[str, str]:
    """Name and address of each page; the references are those of an order in the middle."""
    order = Order.objects.get(pk=Order.objects.latest("pk").pk - ORDERS // 2)
    payment = Payment.objects.get(order=order)
    orders = f"{ADMIN}/order/"
    found = {
        "list": orders,
        "list, last page": f"{orders}?p=100",
        "filter review": f"{orders}?review=yes",
        "filter checks": f"{orders}?checks=overdue",
        **{f"filter {state}": f"{orders}?state__exact={state}" for state in State},
        "search order": f"{orders}?q={order.ref}",
        "search order's beginning": f"{orders}?q={order.ref[:8]}",
        "search payment": f"{orders}?q={payment.ref}",
        "search provider's ref": f"{orders}?q={payment.provider_ref}",
        "search idempotency key": f"{orders}?q={order.idempotency_key}",
        "search user": f"{orders}?q=bench-buyer",
        "search event id": f"{orders}?q=evt_{payment.ref}",
        "search nothing": f"{orders}?q=no-such-thing",
        "order": f"{orders}{order.pk}/change/",
    }
    for name, filters in {
        "payment": ("checks=due", "checks=open"),
        "callbackreceipt": ("receipts=unmatched", "receipts=trying", "receipts=given_up"),
        "orderevent": (),
        "paymentcheck": (),
        "auditentry": (),
        "refund": (),
        "refreshrun": (),
    }.items():
        found[name] = f"{ADMIN}/{name}/"
        found |= {f"{name} {each}": f"{ADMIN}/{name}/?{each}" for each in filters}
        found[f"{name} search"] = f"{ADMIN}/{name}/?q={order.ref}"
    return found | {"board": "/board/"}


def _board() -> dict[str, float]:
    """What it takes to look, without the page and without the second that a look serves: for the first time, and on."""
    board = Board()
    took = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        board._look()
        took.append((time.perf_counter() - began) * 1000)
    first, *later = took
    return {
        "board_first_ms": round(first, 1),
        "board_p50_ms": round(statistics.median(later), 1),
        "board_worst_ms": round(max(later), 1),
    }


def _cost(client: Client, address: str) -> tuple[dict[str, float], int]:
    """What the page takes, and the most rows of one table that one of its statements reads."""
    with _watching() as statements:
        assert client.get(address).status_code == 200, address
    read = [rows for sql, given in statements for rows in _read(sql, given).values()]
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        client.get(address)
        took.append((time.perf_counter() - began) * 1000)
    cost = {"p50_ms": round(statistics.median(took), 1), "worst_ms": round(max(took), 1)}
    return cost, max(read, default=0)


@contextmanager
def _watching() -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if re.match(r"\s*(SELECT|WITH)", sql):
            seen.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        yield seen


def _read(sql: str, parameters: Any) -> dict[str, int]:
    """How many rows of which tables the statement reads."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
        plan = cursor.fetchone()[0]
    plan = json.loads(plan) if isinstance(plan, str) else plan
    read: dict[str, int] = {}
    for node in _nodes(plan[0]["Plan"]):
        if table := node.get("Relation Name"):
            passed = node.get("Rows Removed by Filter", 0) + node.get(
                "Rows Removed by Index Recheck", 0
            )
            rows = round((node["Actual Rows"] + passed) * node["Actual Loops"])
            read[table] = read.get(table, 0) + rows
    return read


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
