"""What a write answers holds nothing that its sender may not read.

`all`: the order with metadata, flags and payments; `own`: what the write itself made, and the order's state; a number:
refused.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders import access
from orders.api.serializers import refreshed_out
from orders.commands.refresh import Refreshed
from orders.commands.review import flag_order
from orders.models import Order
from tests.builders import API, a_payment, an_order
from tests.orders.calling import call
from tests.sandbox import SandboxProcess

READ_AND_WRITE = "orders:read orders:write payments:write refresh"
WHO = ("orders:write", "payments:write", "refresh", READ_AND_WRITE, "manager")

#                                   o:w  p:w  ref  all  manager
ANSWERS = """
POST orders                     |   own  403  403  all  all
POST orders/REF/payments        |   403  own  403  all  all
POST orders/REF/cancel          |   own  403  403  all  all
POST orders/REF/refunds         |   403  own  403  all  all
POST orders/REF/refresh         |   403  403  own  all  all
"""
ROWS = {
    line.split("|")[0].split()[1]: dict(zip(WHO, line.split("|")[1].split(), strict=True))
    for line in ANSWERS.strip().splitlines()
}
NOTE = "a note of the shop's alone"
BODIES: dict[str, dict[str, Any]] = {
    "orders": {"amount": 1_000, "currency": "EUR", "metadata": {"note": NOTE}, "customer": 1}
}


def asked(path: str, who: str, manager: User) -> tuple[int, str]:
    order = an_order(metadata={"note": NOTE})
    body = BODIES.get(path, {})
    if path.endswith("refunds"):
        call("post", f"orders/{order.ref}/payments", {"mode": "sync"})
    else:
        a_payment(order, "failed", failure_code="of-an-earlier-attempt")
    flag_order(order.ref, reason="staff", detail="…", cause=API)
    client, token = Client(), None
    if who == "manager":
        client.force_login(manager)
    else:
        token = access.issue_service_token("shop", who.split())
    if path == "orders":
        body = {**body, "customer": manager.pk}
        first = call("post", path, body, client=client, token=token, Idempotency_Key="k")
        if first.status_code == 201:  # the same again answers as it is by then
            made = Order.objects.get(ref=first.json()["ref"])
            flag_order(made.ref, reason="staff", detail="…", cause=API)
    more = {"Idempotency_Key": "k"} if path == "orders" else {}
    answer = call("post", path.replace("REF", order.ref), body, client=client, token=token, **more)
    return answer.status_code, json.dumps(answer.json())


def told(path: str, text: str) -> str:
    """Which of the shop's own things stand in the answer."""
    found = {
        "note": NOTE in text and path != "orders",  # there, the sender has just said it
        "flags": '"staff"' in text,
        "attempts": "of-an-earlier-attempt" in text,
        "customer": '"customer"' in text,
    }
    return "all" if any(found.values()) else "own"


@pytest.mark.parametrize("path", ROWS)
def test_an_answer_holds_what_its_sender_may_read(
    path: str, provider: SandboxProcess, user: Callable[..., User]
) -> None:
    manager = user("manager", "view_order", "change_order", "refresh_order", is_staff=True)

    found = {}
    for who in WHO:
        status, text = asked(path, who, manager)
        found[who] = str(status) if status >= 400 else told(path, text)

    assert found == ROWS[path]


@pytest.mark.parametrize(("sees_all", "detail"), [(True, "says 1251"), (False, "")])
def test_what_a_refresh_found_is_told_without_figures(sees_all: bool, detail: str) -> None:
    found = Refreshed(payment="p", found="mismatch", detail="says 1251", state="paid")

    answer = refreshed_out(found, sees_all=sees_all)

    assert (answer.found, answer.state, answer.detail) == ("mismatch", "paid", detail)
