"""Whoever can write to Valkey can neither run code, nor stop the workers, nor make a request fail."""

import base64
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from django.conf import settings
from django.core.cache import cache
from limits import parse

from backend.celery import app
from backend.up import command_line
from orders.security import rate_limits
from orders.security.rate_limits import LimitScope, TooMany
from realtime.board.components import Part
from tests.waiting import eventually
from workers import clock_skew, provider_status
from workers.guard import FAILURES, Guard

PREFIX = settings.ORDERCAST_CHANNEL_PREFIX
QUEUE = f"{PREFIX}.ordercast"


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


@pytest.mark.parametrize(
    "forged", ["pickle", b"\xff\xfe", "[" * 100_000, '"text"', "[1]", "{}", "1e999", ""]
)
def test_what_stands_in_the_cache_is_read_as_what_it_should_be(
    valkey: "redis.Redis", tmp_path: Path, forged: Any
) -> None:
    if forged == "pickle":
        forged = pickle.dumps(Bomb(tmp_path / "ran"))
    for name in ("last-tick", *(clock_skew._key(kind) for kind in clock_skew.KINDS)):
        valkey.set(cache.make_key(name), forged)

    parts = provider_status.parts()

    assert [part for part in parts if part.kind == "tick"] == [Part("tick", None)]
    assert not (tmp_path / "ran").exists()


def test_every_key_begins_with_the_prefix_of_the_installation(valkey: "redis.Redis") -> None:
    valkey.flushdb()
    cache.set("a", 1)
    Guard("house").report("unavailable")
    Guard("house").allowance(1)
    rate_limits.admit(LimitScope.API, "somebody")
    rate_limits._share("somebody/1", 60, 1)
    app.send_task("workers.tasks.reconcile")

    assert {
        key for key in cast("Any", valkey).scan_iter() if not key.startswith(PREFIX.encode())
    } == set()


@pytest.mark.parametrize("field", ["state", "failures", "successes", "opened_at"])
@pytest.mark.parametrize("forged", [b"\xff", "half", "-1", "9" * 400, "4102444800", "1e3", ""])
def test_a_forged_breaker_leaves_no_provider_alone_for_ever(
    valkey: "redis.Redis", field: str, forged: Any
) -> None:
    key = f"{PREFIX}:breaker:house"
    valkey.hset(key, mapping={"state": "open", "opened_at": "1", field: forged})
    assert Guard("house").allowance(1).questions == 1

    valkey.delete(key)
    valkey.hset(key, field, forged)
    for _ in range(FAILURES):
        Guard("house").report("unavailable")
    assert Guard("house").is_open()


def test_a_key_of_another_kind_is_replaced(valkey: "redis.Redis") -> None:
    valkey.set(f"{PREFIX}:breaker:house", "text")

    for _ in range(FAILURES):
        Guard("house").report("unavailable")

    assert Guard("house").is_open()


@pytest.mark.parametrize("forged", [b"\xff", "text", "1.5", "[]", "9" * 30])
def test_a_forged_count_fails_nobody(valkey: "redis.Redis", forged: Any) -> None:
    rate = parse(settings.ORDERCAST_LIMITS[LimitScope.API])
    shared = rate_limits._shared()
    for name in (rate.key_for(LimitScope.API, "somebody"),):
        valkey.set(f"{shared.storage.key_prefix}:{name}", forged)

    with suppress(TooMany):
        rate_limits.admit(LimitScope.API, "somebody")
    assert 0 < rate_limits._seconds_left(rate, LimitScope.API, ("somebody",)) <= rate.get_expiry()
    assert Guard("house").allowance(1).questions <= 1


def message(**changed: Any) -> dict[str, Any]:
    """As Celery writes one."""
    return {
        "body": base64.b64encode(b'[[], {}, {"callbacks": null}]').decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "workers.tasks.reconcile", "id": "1", "lang": "py"},
        "properties": {"delivery_tag": "1", "body_encoding": "base64",
                       "delivery_info": {"exchange": "", "routing_key": "ordercast"}},
        **changed,
    }  # fmt: skip


def messages(mark: Path) -> Iterator[str | bytes]:
    """What is not a task of ours, from no JSON to a task that there is not."""
    yield from (b"\xff\xfe", "no json", "[]", "1", "null", "{}", "[" * 100_000)
    bomb = base64.b64encode(pickle.dumps(Bomb(mark))).decode()
    for kind in ("application/x-python-serialize", "pickle", "application/data", "no/such"):
        yield json.dumps(message(**{"body": bomb, "content-type": kind}))
    for name in message():
        yield json.dumps({key: value for key, value in message().items() if key != name})
        value: object
        for value in (None, 7, "text", [], {}):
            yield json.dumps(message(**{name: value}))
    for task in ("no.such.task", 7, None, ["workers.tasks.refresh"], "workers.tasks.announce"):
        yield json.dumps(message(headers={"task": task, "id": "1", "lang": "py"}))
    expires: object
    for expires in ("never", 7, {}, "9999999-01-01"):
        headers = {"task": "workers.tasks.reconcile", "id": "1", "lang": "py"}
        yield json.dumps(message(headers={**headers, "expires": expires}))
        yield json.dumps(message(headers={**headers, "eta": expires}))
    hints: object
    for hints in (7, "text", [7], [[]], [[1, 2, 3, 4]], [["0" * 32, "word", 10**30, "{}"]]):
        body = base64.b64encode(json.dumps([[hints], {}, {}]).encode()).decode()
        headers = {"task": "workers.tasks.announce", "id": "1", "lang": "py"}
        yield json.dumps(message(body=body, headers=headers))


@pytest.mark.stack
def test_a_worker_lives_through_every_message_and_does_the_next_task(
    database: None, child_environment: dict[str, str], valkey: "redis.Redis", tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, *command_line.WORKER, "--loglevel", "info"],
            env=child_environment, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        for sent, forged in enumerate(messages(tmp_path / "ran")):
            valkey.lpush(QUEUE, forged)
            if sent % 10 == 0:
                app.send_task("workers.tasks.reconcile", task_id=f"real-{sent}")
                eventually(
                    lambda sent=sent: f"[real-{sent}] succeeded" in log.read_text(), 30,  # type: ignore[misc] # it has a default
                    saying=f"a task after {str(forged)[:200]}",
                )  # fmt: skip
        app.send_task("workers.tasks.reconcile", task_id="last")
        eventually(lambda: "[last] succeeded" in log.read_text(), 30)
        assert worker.poll() is None
        assert not (tmp_path / "ran").exists()
    finally:
        worker.kill()
        worker.wait()
