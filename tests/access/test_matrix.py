"""Who may do what, row by row: everybody against every endpoint, page, socket and admin action.

A cell is the HTTP status; for a socket, 101 where it gets its order and else the close code; for an admin action that
was not done, 403. An endpoint without a row fails the last tests.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from orders import access
from orders.access import Scope, grant_cookie, revocation
from orders.models import AuditEntry, Order
from realtime import routing
from realtime.pubsub import publisher
from tests.builders import an_order
from tests.orders.access import keys
from tests.realtime.serving import Server

WHO = (
    "anonymous", "customer", "other", "guest", "opened", "expired", "revoked", "idp staff", "staff",
    "looker", "manager",
    "orders:write", "orders:read", "payments:write", "refresh",
)  # fmt: skip

#                                anon cust othr gues open expi revo idps staf look mana |  o:w  o:r  p:w  ref
MATRIX = """
POST /api/orders               |  401  403  403  403  403  401  401  401  403  403  201 |  201  403  403  403
GET  /api/orders/REF           |  401  200  404  200  200  401  401  401  404  200  200 |  403  200  403  403
GET  /api/orders/REF/events    |  401  200  404  200  200  401  401  401  404  200  200 |  403  200  403  403
GET  /api/orders/REF/why       |  401  403  403  403  403  401  401  401  403  200  200 |  403  200  403  403
POST /api/orders/REF/payments  |  401  403  403  403  403  401  401  401  403  403  202 |  403  403  202  403
POST /api/orders/REF/cancel    |  401  403  403  403  403  401  401  401  403  403  200 |  200  403  403  403
POST /api/orders/REF/grants    |  401  403  403  403  403  401  401  401  403  403  201 |  201  403  403  403
POST /api/orders/REF/refunds   |  401  403  403  403  403  401  401  401  403  403  409 |  403  403  409  403
POST /api/orders/REF/refresh   |  401  403  403  403  403  401  401  401  403  403  200 |  403  403  403  200
GET  /api/orders/REF/stream    |  401  200  404  200  200  401  404  404  404  200  200 |  404  200  404  404
WS   /ws/orders/REF/           | 4001  101 4003  101  101 4005 4003 4003 4003  101  101 | 4003  101 4003 4003
WS   /ws/orders/               | 4001  101 4003  101  101 4005 4003 4003 4003  101  101 | 4003  101 4003 4003
GET  /api/docs                 |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
GET  /api/openapi.json         |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
GET  /api/asyncapi.json        |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
GET  /                         |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
GET  /login/                   |  200  302  302  200  200  200  200  200  302  302  302 |  200  200  200  200
GET  /orders/                  |  302  200  200  302  302  302  302  302  200  200  200 |  302  302  302  302
GET  /orders/REF/              |  404  200  404  200  200  404  404  404  404  200  200 |  404  404  404  404
POST /orders/REF/              |  404  302  404  302  302  404  404  404  404  302  302 |  404  404  404  404
GET  /orders/REF/receipt/      |  404  302  404  302  302  404  404  404  404  302  302 |  404  404  404  404
POST /language/                |  302  302  302  302  302  302  302  302  302  302  302 |  302  302  302  302
GET  /favicon.ico              |  302  302  302  302  302  302  302  302  302  302  302 |  302  302  302  302
GET  /board/                   |  302  403  403  302  302  302  302  302  403  200  200 |  302  302  302  302
GET  /board/stream             |  401  401  401  401  401  401  401  401  401  200  200 |  401  401  401  401
GET  /api/words                |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
GET  /embed/                   |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
GET  /demo/                    |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
POST /demo/new/                |  302  302  302  302  302  302  302  302  302  302  302 |  302  302  302  302
GET  /demo/REF/                |  404  404  404  404  404  404  404  404  404  404  404 |  404  404  404  404
POST /callbacks/house/         |  400  400  400  400  400  400  400  400  400  400  400 |  400  400  400  400
POST /callbacks/house          |  400  400  400  400  400  400  400  400  400  400  400 |  400  400  400  400
GET  /health/live              |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
GET  /health/ready             |  200  200  200  200  200  200  200  200  200  200  200 |  200  200  200  200
GET  /admin/orders/order/      |  302  302  302  302  302  302  302  302  403  200  200 |  302  302  302  302
GET  /admin/orders/order/PK/change/ |  302  302  302  302  302  302  302  302  403  200  200 |  302  302  302  302
POST /admin/orders/order/?force_refresh |  302  302  302  302  302  302  302  302  403  403  303 |  302  302  302  302
POST /admin/orders/order/?flag          |  302  302  302  302  302  302  302  302  403  403  200 |  302  302  302  302
POST /admin/orders/order/?new_link      |  302  302  302  302  302  302  302  302  403  403  200 |  302  302  302  302
POST /admin/orders/order/?clear_review  |  302  302  302  302  302  302  302  302  403  403  200 |  302  302  302  302
POST /admin/orders/order/?accept_late_payment | 302 302 302 302 302 302 302 302 403 403 200 | 302 302 302 302
POST /admin/orders/order/?return_late_payment | 302 302 302 302 302 302 302 302 403 403 200 | 302 302 302 302
POST /admin/orders/order/?revoke_links  |  302  302  302  302  302  302  302  302  403  403  200 |  302  302  302  302
GET  /admin/orders/callbackreceipt/ |  302  302  302  302  302  302  302  302  403  403  403 |  302  302  302  302
POST /admin/orders/callbackreceipt/?replay | 302 302 302 302 302 302 302 302 403 403 403 | 302 302 302 302
POST /admin/orders/callbackreceipt/?dismiss | 302 302 302 302 302 302 302 302 403 403 403 | 302 302 302 302
GET  /admin/orders/refreshrun/      |  302  302  302  302  302  302  302  302  403  403  200 |  302  302  302  302
GET  /admin/orders/auditentry/      |  302  302  302  302  302  302  302  302  403  403  403 |  302  302  302  302
"""
ROWS = {
    " ".join(door.split()): dict(zip(WHO, map(int, cells.split()), strict=True))
    for door, cells in (
        (line.split("|")[0], " ".join(line.split("|")[1:])) for line in MATRIX.strip().splitlines()
    )
}
ORIGIN = "http://127.0.0.1"
_PROVIDER = keys.ed25519()  # an identity provider's key


@dataclass
class Person:
    """What somebody shows at a door."""

    token: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        # As a browser with a session does: the CSRF token twice.
        shown = {"x-csrftoken": "a" * 32} | (
            {"authorization": f"Bearer {self.token}"} if self.token else {}
        )
        cookies = self.cookies | {"csrftoken": "a" * 32}
        return shown | {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


@pytest.fixture
def server(database: None, valkey: object, settings: Settings, tmp_path: Path) -> Iterator[Server]:
    key_set = tmp_path / "jwks.json"
    key_set.write_text(keys.key_set(one=_PROVIDER))
    settings.ORDERCAST_TOKEN_JWKS = str(key_set)
    settings.ORDERCAST_TOKEN_ISSUER, settings.ORDERCAST_TOKEN_USER_CLAIM = keys.ISSUER, "sub"
    settings.ORDERCAST_REALTIME = {"hello": 0.2}
    nobody = {**settings.ORDERCAST_PROVIDERS["house"], "url": "http://127.0.0.1:1"}
    settings.ORDERCAST_PROVIDERS = {**settings.ORDERCAST_PROVIDERS, "house": nobody}
    publisher.announce([])
    started = Server()
    yield started
    started.stop()


@pytest.fixture
def people(user: Callable[..., Any]) -> dict[str, Any]:
    """Users by name; each cell makes its own order, whose customer is `customer`."""
    return {
        "customer": user("customer"),
        "other": user("other"),
        "staff": user("staff", is_staff=True),
        "looker": user("looker", "view_order", is_staff=True),
        "manager": user("manager", "view_order", "change_order", "refresh_order", is_staff=True),
    }


def person(who: str, people: dict[str, Any], ref: str) -> Person:
    if who in people:
        client = Client()
        client.force_login(people[who])
        return Person(cookies={"sessionid": client.cookies["sessionid"].value})
    if who == "idp staff":  # a manager, whom only an identity provider vouches for
        return Person(keys.token(_PROVIDER, "one", sub=str(people["manager"].pk)))
    if who in set(Scope):
        return Person(access.issue_service_token("shop", [who]))
    return Person() if who == "anonymous" else _guest(who, ref)


def _guest(who: str, ref: str) -> Person:
    token = access.issue_grant([ref])
    match who:
        case "opened":  # by its link, for which a cookie stands now
            return Person(cookies=dict.fromkeys(("ordercast_grant", grant_cookie.API), token))
        case "expired":
            token = access.issue_grant([ref], timedelta(seconds=-1))
        case "revoked":
            revocation.revoke(revocation.token_of(access.read_token(token)), actor="test")
    return Person(token)


BODIES = {"/api/orders": {"amount": 1250, "currency": "EUR"}}


def knock(server: Server, door: str, who: Person, order: Order) -> int:
    kind, path = door.split()
    path = path.replace("REF", order.ref).replace("PK", str(order.pk))
    if kind == "WS":
        return _watch(f"{server.url.replace('http', 'ws')}{path}", who, order.ref)
    if path.startswith(f"/orders/{order.ref}/") and who.token:
        if kind == "GET":
            who = _open_link(server, path, who)
        else:
            path += f"?grant={who.token}"
    with httpx.Client(
        base_url=server.url, headers=who.headers, trust_env=False, timeout=20
    ) as client:
        if path.endswith("/stream"):
            with client.stream("GET", path) as answer:
                return answer.status_code
        if kind == "GET":
            return client.get(path).status_code
        if path.startswith("/admin/"):
            action = path.split("?")[1]
            form = {
                "action": action,
                "_selected_action": order.pk,
                "confirm": "1",
                "reason": "test",
            }
            status = client.post(path.split("?")[0], data=form).status_code
            was_done = AuditEntry.objects.filter(order=order.ref).exists()
            return 403 if status == 200 and not was_done else status
        if path.startswith("/orders/"):
            return client.post(path).status_code
        return client.post(path, json=BODIES.get(path, {})).status_code


def _open_link(server: Server, path: str, who: Person) -> Person:
    """Who has opened the link, and holds a cookie if it was any good."""
    asked = f"{server.url}{path}?grant={who.token}"
    answer = httpx.get(asked, headers=who.headers, trust_env=False, timeout=20)
    assert answer.status_code == 303
    assert "grant" not in answer.headers["location"]
    return Person(cookies=who.cookies | dict(answer.cookies))


def _watch(address: str, who: Person, ref: str) -> int:
    headers = {k: v for k, v in who.headers.items() if k != "x-csrftoken"}
    try:
        with connect(address, additional_headers=headers, proxy=None) as socket:
            if address.endswith("/ws/orders/"):
                socket.send(json.dumps({"type": "hello", "subscribe": [{"order": ref}]}))
            while True:
                frame = json.loads(socket.recv(40))
                if frame["type"] == "synced":
                    return 101
                if frame["type"] == "error":
                    return int(frame["code"])
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


@pytest.mark.parametrize("door", ROWS)
def test_everybody_gets_what_the_matrix_says(
    door: str, server: Server, people: dict[str, Any]
) -> None:
    found = {}
    for who in WHO:
        order = an_order(customer_id=people["customer"].pk)
        found[who] = knock(server, door, person(who, people, order.ref), order)

    assert found == ROWS[door]


def _addresses(patterns: list[Any], before: str = "/") -> Iterator[str]:
    for pattern in patterns:
        here = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _addresses(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern):
            yield here


def _in_matrix() -> set[str]:
    return {door.split()[1].replace("REF", "<ref>").replace("house", "<provider>") for door in ROWS}


def test_every_address_has_a_row() -> None:
    ours = {
        address.replace("str:", "").replace("slug:", "")
        for address in _addresses(get_resolver().url_patterns)
        if not address.startswith("/admin/")
    }
    # ninja's "api-root" is only for making addresses; logging out is for whoever is there.
    assert ours - {"/api/", "/logout/"} <= _in_matrix()


def test_every_operation_of_the_api_has_a_row() -> None:
    from orders.api.routes import api

    described = {
        f"{method.upper()} {path.replace('{ref}', 'REF')}"
        for path, operations in api.get_openapi_schema()["paths"].items()
        for method in operations
    }
    assert described <= set(ROWS)


def test_every_socket_has_a_row() -> None:
    routes = {str(route.pattern) for route in routing.websocket_application.routes}
    assert {f"/{route}".replace("str:", "") for route in routes if route} <= _in_matrix()


def test_every_admin_action_has_a_row() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    actions = {
        f"POST /admin/orders/{model._meta.model_name}/?{action.__name__}"
        for model, each in admin.site._registry.items()
        if model._meta.app_label == "orders"
        for action in each.actions or ()
        if callable(action)
    }
    assert actions
    assert actions <= set(ROWS)
