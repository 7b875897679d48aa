"""The description of the live streams: right by the official schema, and true of real frames in both directions."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import jsonschema_rs
import pytest

from orders.models import Order
from realtime import routing
from realtime.endpoints import sse
from realtime.protocol.asyncapi import document
from realtime.protocol.http import STATUS
from realtime.protocol.messages import Close
from tests.browser.packages import Missing, package_file
from tests.optional import skip_or_fail
from tests.realtime.conftest import NEVER, epoch, grow, grow_and_announce
from tests.realtime.protocol.described import kind_of, kinds, problems
from tests.realtime.serving import Page, Server, page

Start = Callable[..., Server]
STRANGE = "f" * 32


@pytest.fixture
def server(start_server: Start) -> Server:
    """It makes no position checks: what arrives came by a hint, or by reading a hole."""
    return start_server(check=NEVER, ping=0.2)


def test_the_description_is_an_asyncapi_3_document() -> None:
    try:
        file = package_file("@asyncapi/specs/schemas/3.0.0.json")
    except Missing as missing:
        skip_or_fail(missing)
    official = jsonschema_rs.validator_for(json.loads(file.read_text()))

    assert [error.message for error in official.iter_errors(document())] == []
    assert list(official.iter_errors({**document(), "channels": {"order": {"adress": "/"}}}))


async def test_anybody_may_read_it(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answer = await client.get("/api/asyncapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document()


def test_every_live_address_is_a_channel() -> None:
    addresses = {channel["address"] for channel in document()["channels"].values()}
    patterns = (str(route.pattern) for route in routing.websocket_application.routes)
    sockets = {f"/{each.replace('<str:ref>', '{order}')}" for each in patterns if each}

    assert sockets <= addresses
    assert [a for a in addresses if sse.PATH.match(a)] == ["/api/orders/{order}/stream"]


def test_every_reference_leads_somewhere() -> None:
    described = document()

    def follow(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(ref := value.get("$ref"), str):
                found: Any = described
                for step in ref.removeprefix("#/").split("/"):
                    found = found[step]
            for each in value.values():
                follow(each)
        elif isinstance(value, list):
            for each in value:
                follow(each)

    follow(described)


async def test_frames_of_every_kind_are_as_described_in_both_directions(
    server: Server, order: Order
) -> None:
    said, heard = await converse(server, order)

    assert [wrong for frame in said for wrong in problems("receive", frame)] == []
    assert [wrong for frame in heard for wrong in problems("send", frame)] == []
    assert {kind_of(frame) for frame in said} == kinds("receive")
    assert {kind_of(frame) for frame in heard} == kinds("send") - {"draining"}
    assert {f["mode"] for f in heard if "mode" in f} == {"current", "tail", "snapshot"}


async def test_a_farewell_is_as_described(start_server: Start, order: Order) -> None:
    async with page(start_server(max_age=0.3), f"{order.ref}/") as old:
        (farewell,) = await old.until(lambda p: p.of("draining"))

    assert problems("send", farewell) == []


async def converse(server: Server, order: Order) -> tuple[list[Any], list[Any]]:
    """Everything that can be said on one socket: what the client said, and what it heard."""
    word = await epoch()
    await grow(order, 2)
    said: list[Any] = []
    async with page(server) as watching:

        async def say(**frame: Any) -> None:
            said.append(frame)
            await watching.say(**frame)

        await say(type="hello", token="demo-service-token", subscribe=[{"order": order.ref}])
        await watching.until(lambda p: _modes(p) == ["snapshot"])
        for version in (1, 3):
            wish = {"order": order.ref, "epoch": word, "version": version, "grant": None}
            await say(type="subscribe", subscribe=[wish])
            await watching.until(lambda p, v=version: len(p.of("synced")) == (2 if v == 1 else 3))  # type: ignore[misc]
        await grow_and_announce(order)
        await watching.until(lambda p: p.of("event"))
        await say(type="subscribe", subscribe=[{"order": STRANGE}])
        await watching.until(lambda p: p.of("error", STRANGE))
        await say(type="unsubscribe", orders=[order.ref])
        await say(type="refresh", token="demo-service-token")
        await say(type="ping")
        said.append("ping")
        await watching.socket.send("ping")
        await watching.until(lambda p: p.of("pong") and p.of("ping"))
        await watching.say(type="nonsense")
        assert await watching.close_code() == Close.BAD_MESSAGE
    heard = ["pong" if f == {"type": "pong"} else f for f in watching.frames]
    return said, heard


def _modes(watching: Page) -> list[str]:
    return [frame["mode"] for frame in watching.of("synced")]


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "event", "order": STRANGE, "epoch": "e", "version": 1},
        {"type": "error", "code": 4999, "message": "no such code"},
        {"type": "error", "code": 4003, "message": "null is never sent", "order": None},
        {"type": "draining", "within_ms": 5, "and": "more"},
        {"type": "nonsense"},
    ],
)
def test_a_frame_that_is_not_as_described_is_seen(frame: dict[str, Any]) -> None:
    assert problems("send", frame)


async def test_limits_and_close_codes_are_the_ones_in_force(server: Server) -> None:
    info = document()["info"]
    async with page(server) as watching:
        (welcome,) = await watching.until(lambda p: p.of("welcome"))

    for name in ("max_frame_bytes", "max_subscriptions"):
        assert info["x-limits"][name] == welcome[name]
    assert {each["code"] for each in info["x-close-codes"]} == {int(code) for code in Close}
    assert set(document()["channels"]["stream"]["x-statuses"]) == {str(int(c)) for c in STATUS}
