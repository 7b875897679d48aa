"""What stands before every application: hosts, bodies, headers, numbers of requests."""

import asyncio
import json
import os
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from pytest_django import Settings

from backend.http import gateway
from orders import access
from orders.api.strict_json import MAX_DEPTH, loads
from orders.security import rate_limits
from orders.security.rate_limits import LimitScope, TooMany
from tests.builders import an_order
from tests.people import SERVICE
from tests.proxy import Proxy

DRIPPING = b"a piece that never comes"
GONE = "redis://127.0.0.1:1/0"  # nobody listens there


class Asked:
    """What a client got of an ASGI application, driven by hand."""

    def __init__(
        self,
        path: str,
        *,
        kind: str = "http",
        body: list[bytes] | None = None,
        address: str = "192.0.2.1",
        **headers: Any,
    ) -> None:
        given = {"host": "localhost", **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.scope = {
            "type": kind, "method": "POST", "path": path, "query_string": b"", "client": [address, 1],
            "headers": [(k.encode(), v.encode()) for k, v in given.items()],
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        self.body, self.sent, self.has_arrived = body or [b""], list[dict[str, Any]](), False

    def __call__(self) -> "Asked":
        async_to_sync(gateway.Gateway(self._application))(self.scope, self._receive, self._send)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.sent[0]["headers"]}

    async def _application(self, _scope: Any, receive: Any, send: Any) -> None:
        self.has_arrived = True
        while (await receive()).get("more_body"):
            pass
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/html")],
            }
        )
        await send({"type": "http.response.body", "body": b""})

    async def _receive(self) -> dict[str, Any]:
        if self.scope["type"] == "websocket":
            return {"type": "websocket.connect"}
        piece = self.body.pop(0)
        if piece is DRIPPING:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece, "more_body": bool(self.body)}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


class TestBodies:
    def test_one_that_says_it_is_too_large_never_arrives(self) -> None:
        asked = Asked("/api/orders", content_length=str(65 * 1024))()

        assert (asked.status, asked.has_arrived) == (413, False)

    def test_one_that_does_not_say_is_cut_where_it_becomes_too_large(self) -> None:
        pieces = [b"x" * 1024] * 200
        asked = Asked("/api/orders", body=pieces)()

        assert asked.status == 413
        assert len(asked.body) == 200 - 65

    def test_a_callback_may_be_larger(self) -> None:
        assert Asked("/callbacks/house/", body=[b"x" * 1024] * 200)().status == 200

    def test_one_that_drips_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gateway, "BODY_TIME", 0.05)

        assert Asked("/api/orders", body=[b"x", DRIPPING])().status == 408


POLICIES = {
    "/orders/": "default-src 'self'; base",
    "/admin/orders/": "style-src 'self' 'unsafe-inline'",
    "/api/docs": "style-src 'self' 'unsafe-inline'",
    "/api/orders": "default-src 'none'",
}


@pytest.mark.parametrize(("path", "policy"), POLICIES.items())
def test_every_answer_says_what_a_browser_may_do_with_it(path: str, policy: str) -> None:
    headers = Asked(path)().headers

    assert policy in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_a_clients_own_request_id_stands_nowhere() -> None:
    asked = Asked("/", x_request_id="abcdef-1234")()

    assert re.fullmatch("[0-9a-f]{32}", asked.headers["x-request-id"])


def test_a_request_keeps_the_id_that_a_trusted_proxy_gave_it_and_no_nonsense(
    settings: Settings,
) -> None:
    settings.ORDERCAST_TRUST_REQUEST_ID = True

    assert Asked("/", x_request_id="abcdef-1234")().headers["x-request-id"] == "abcdef-1234"
    assert len(Asked("/", x_request_id="a b\x01")().headers["x-request-id"]) == 32


@pytest.mark.usefixtures("valkey")
@pytest.mark.parametrize("kind", ["websocket", "stream"])
class TestLiveStreams:
    def ask(self, kind: str, **headers: Any) -> Asked:
        if kind == "websocket":
            return Asked("/ws/orders/", kind="websocket", **headers)
        return Asked(f"/api/orders/{'a' * 32}/stream", **headers)

    def test_a_foreign_host_is_refused(self, kind: str) -> None:
        asked = self.ask(kind, host="evil.example")()

        assert (asked.status, asked.has_arrived) == (400, False)

    def test_too_many_handshakes_are_told_when_to_come_back(
        self, kind: str, settings: Settings
    ) -> None:
        settings.ORDERCAST_LIMITS = {**settings.ORDERCAST_LIMITS, "handshake": "2/minute"}

        address = f"198.51.100.{len(kind)}"  # whoever came before counts for himself

        asked = [self.ask(kind, address=address)() for _ in range(3)]

        assert [each.has_arrived for each in asked] == [True, True, False]
        assert asked[-1].status == 429
        assert 1 <= int(asked[-1].headers["retry-after"]) <= 60

    @pytest.mark.parametrize(
        "headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}], ids=str
    )
    def test_one_that_is_refused_is_counted_as_well(
        self, kind: str, settings: Settings, headers: dict[str, str]
    ) -> None:
        settings.ORDERCAST_LIMITS = {**settings.ORDERCAST_LIMITS, "handshake": "2/minute"}
        address = f"198.51.100.{100 + len(kind) + 10 * len(headers.get('host', ''))}"

        asked = [self.ask(kind, address=address, **headers)() for _ in range(3)]

        assert asked[-1].status == 429
        assert not asked[-1].has_arrived


@pytest.fixture
def few(settings: Settings, valkey: Any) -> None:
    settings.ORDERCAST_LIMITS = dict.fromkeys(settings.ORDERCAST_LIMITS, "2/minute")


@pytest.mark.usefixtures("few", "database")
class TestLimits:
    def test_each_token_has_a_budget_of_its_own(self, bearer: Callable[[str], Client]) -> None:
        ref = an_order().ref
        one, two = (bearer(access.issue_grant([ref])) for _ in range(2))

        answers = [one.get(f"/api/orders/{ref}") for _ in range(3)]

        assert [a.status_code for a in answers] == [200, 200, 429]
        assert answers[-1].json()["code"] == "too_many_requests"
        assert 1 <= int(answers[-1]["Retry-After"]) <= 60
        assert two.get(f"/api/orders/{ref}").status_code == 200

    def test_guessing_tokens_is_counted_by_address(self, bearer: Callable[[str], Client]) -> None:
        guesses = [bearer(f"guess-{n}").get("/api/orders/x").status_code for n in range(3)]

        assert guesses == [401, 401, 429]

    def test_callbacks_are_asked_to_come_again(self) -> None:
        answers = [Client().post("/callbacks/house/", b"{}", "application/json") for _ in range(3)]

        assert [a.status_code for a in answers] == [400, 400, 429]
        assert int(answers[-1]["Retry-After"]) >= 1

    def test_without_valkey_a_process_counts_for_itself(self, settings: Settings) -> None:
        settings.VALKEY_URL = GONE

        _assert_counted()

    def test_nobody_waits_for_a_silent_valkey_more_than_once(self, settings: Settings) -> None:
        with Proxy(int(os.environ["ORDERCAST_TEST_VALKEY_PORT"])) as proxy:
            proxy.is_black_hole = True
            settings.VALKEY_URL = f"redis://127.0.0.1:{proxy.port}/0"
            began = time.monotonic()

            _assert_counted()
            assert time.monotonic() - began < 2 * settings.VALKEY_TIMEOUT


def _assert_counted() -> None:
    who = os.urandom(4).hex()
    rate_limits.admit(LimitScope.HANDSHAKE, who)
    rate_limits.admit(LimitScope.HANDSHAKE, who)
    with pytest.raises(TooMany):
        rate_limits.admit(LimitScope.HANDSHAKE, who)


def test_a_provider_that_is_not_listed_is_refused(database: None, settings: Settings) -> None:
    settings.ORDERCAST_CALLBACK_NETWORKS = ["203.0.113.0/24", "2001:db8::/32"]

    answers = [
        Client(REMOTE_ADDR=address).post("/callbacks/house/", b"{}", "application/json").status_code
        for address in ("203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9", "192.0.2.1", "nonsense")
    ]

    assert answers == [400, 400, 400, 403, 403]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", "unknown"),
    ],
)
def test_who_counts_as_one_client(address: str, client: str) -> None:
    assert rate_limits.client(address) == client


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
            b'{"a":' * 100_000,
            b"9" * 31,
            b"1e999",
            b"NaN",
            b"-Infinity",
            b'{"a": 1, "a": 2}',
            b'"\xff"',
            b"",
            b"{",
        ],
    )
    def test_what_only_an_attacker_sends_is_refused(self, body: bytes) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 — any of them will do
            loads(body)

    def test_brackets_in_a_text_are_no_depth(self) -> None:
        text = "[{" * 100 + '\\"'

        assert loads(json.dumps({"a": text}).encode()) == {"a": text}

    def test_the_api_says_that_it_cannot_read_it(self, bearer: Callable[[str], Client]) -> None:
        answer = bearer(SERVICE).post("/api/orders", b"[" * 5_000, "application/json")

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
