"""`POST /api/orders/{ref}/grants`, and the same by staff: a new link for who is locked out."""

from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from orders import access, clock
from orders.access import revocation
from orders.models import AuditEntry
from tests.builders import an_order

pytestmark = pytest.mark.usefixtures("database")

Bearer = Callable[[str], Client]


@pytest.fixture
def shop(bearer: Bearer) -> Client:
    return bearer(access.issue_service_token("shop", ["orders:write"]))


def ask(client: Client, ref: str, **body: Any) -> Any:
    return client.post(f"/api/orders/{ref}/grants", body, "application/json")


def opens(link: str) -> int:
    url = urlsplit(link)
    return Client().get(f"{url.path}?{url.query}", follow=True).status_code


def test_a_shop_renews_a_grant_that_was_revoked(shop: Client) -> None:
    order = an_order()
    access.revoke(revocation.order(order.ref), actor="test")

    answer = ask(shop, order.ref)

    told = answer.json()
    assert answer.status_code == 201
    assert access.read_grant(told["grant"]).refs == {order.ref}
    assert told["page"].endswith(f"/orders/{order.ref}/?grant={told['grant']}")
    assert opens(told["page"]) == 200
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.order, entry.actor, entry.outcome) == (
        "order.grant", order.ref, "shop", "done",
    )  # fmt: skip


def test_it_lasts_as_long_as_the_shop_wants(shop: Client) -> None:
    order = an_order()

    told = ask(shop, order.ref, lifetime=3600).json()

    ends = access.read_token(told["grant"]).expires_at
    assert ends is not None
    assert timedelta(minutes=59) < ends - clock.now() <= timedelta(hours=1)


@pytest.mark.parametrize("lifetime", [0, 59, 366 * 86_400 + 1, "3600", 60.5, True])
def test_a_lifetime_that_makes_no_sense_is_refused(shop: Client, lifetime: object) -> None:
    answer = ask(shop, an_order().ref, lifetime=lifetime)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_there_is_no_link_to_an_order_that_there_is_not(shop: Client) -> None:
    assert ask(shop, "0" * 32).status_code == 404


def test_staff_make_a_new_link_with_a_reason(user: Callable[..., Any]) -> None:
    order = an_order()
    client = Client()
    client.force_login(user("manager", "view_order", "change_order", is_staff=True))
    form = {"action": "new_link", "_selected_action": order.pk, "confirm": "1", "reason": "lost it"}

    answer = client.post("/admin/orders/order/", form)

    html = unescape(answer.content.decode())
    start = html.index("http://127.0.0.1:8000/orders/")
    assert opens(html[start:].split("<")[0].strip()) == 200
    assert "no-store" in answer["Cache-Control"]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.reason) == ("admin_new_link", "manager", "lost it")
    assert "eyJ" not in entry.detail
