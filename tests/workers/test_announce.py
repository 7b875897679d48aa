"""From the commit to the broker: one task for what came together, and a broker that can be away without being felt."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.db import transaction

from backend.celery import app
from orders.commands import review
from orders.domain.cause import Cause, Source
from realtime.hub import local
from realtime.pubsub.names import Hint
from tests.builders import an_order
from tests.ports import free_port
from tests.proxy import Proxy
from tests.waiting import eventually
from workers import announcer, receivers

API = Cause(Source.API, "shop")
QUEUE = f"{django_settings.ORDERCAST_CHANNEL_PREFIX}.ordercast"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, valkey: "redis.Redis") -> None:
    """An announcer that has met no trouble yet, and an empty queue."""
    valkey.delete(QUEUE)
    monkeypatch.setattr(announcer, "_announcer", None)


@contextmanager
def broker_at(port: int) -> Iterator[None]:
    """Enqueue to another address for a while."""
    conf: Any = app.conf
    before = conf.broker_url
    _use(conf, f"redis://127.0.0.1:{port}/0")
    try:
        yield
    finally:
        _use(conf, before)


def _use(conf: Any, url: str) -> None:
    conf.broker_url = conf.broker_write_url = url
    forgetful: Any = app
    forgetful._after_fork()  # drops the producers that are connected elsewhere


def tasks(valkey: "redis.Redis") -> list[list[Any]]:
    """The arguments of every task that waits in the broker, oldest first."""
    import base64

    found = []
    for message in reversed(valkey.lrange(QUEUE, 0, -1)):
        body = json.loads(base64.b64decode(json.loads(message)["body"]))
        found.append(body[0][0])
    return found


def flag(order: Any, number: int) -> None:
    review.flag_order(order.ref, reason=f"test_{number}", detail="", cause=API)


def test_a_committed_event_is_announced_as_the_frame_that_pages_get(
    database: None, valkey: "redis.Redis"
) -> None:
    order = an_order()

    [[[ref, epoch, version, frame, _]]] = eventually(lambda: tasks(valkey))

    assert (ref, version) == (order.ref, 1)
    assert json.loads(frame)["event"] == "order.created"
    assert json.loads(frame)["epoch"] == epoch


def test_each_event_is_handed_on_once_after_the_commit(
    database: None, django_capture_on_commit_callbacks: Any, valkey: "redis.Redis"
) -> None:
    order = an_order()
    eventually(lambda: len(tasks(valkey)) == 1)

    with transaction.atomic(), django_capture_on_commit_callbacks() as callbacks:
        flag(order, 1)
        flag(order, 2)

    assert [c.__module__ for c in callbacks].count(receivers.__name__) == 2


def test_a_failure_of_the_direct_way_leaves_the_other_ways_as_they_are(
    database: None, valkey: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_hint: Hint) -> None:
        raise RuntimeError("the hub's loop is broken")

    monkeypatch.setattr(local, "deliver", fail)
    order = an_order()

    [[hint]] = eventually(lambda: tasks(valkey))
    assert Hint.received(hint).event_id == f"{order.ref}:1"


def test_what_a_transaction_wrote_is_one_task(database: None, valkey: "redis.Redis") -> None:
    order = an_order()
    eventually(lambda: len(tasks(valkey)) == 1)

    with transaction.atomic():
        for number in range(20):
            flag(order, number)

    announced = eventually(lambda: versions_after(tasks(valkey), 20))
    assert announced == list(range(2, 22))
    assert len(tasks(valkey)) <= 10, "events of one moment go together"


def versions_after(found: list[list[Any]], least: int) -> list[int] | None:
    versions = [hint[2] for task in found[1:] for hint in task]
    return versions if len(versions) >= least else None


def test_what_is_rolled_back_is_not_announced(database: None, valkey: "redis.Redis") -> None:
    order = an_order()
    eventually(lambda: len(tasks(valkey)) == 1)

    with transaction.atomic():
        flag(order, 1)
        transaction.set_rollback(True)
    flag(order, 2)

    assert eventually(lambda: versions_after(tasks(valkey), 1)) == [2]
    assert "test_2" in order_flags(order)


def order_flags(order: Any) -> list[str]:
    order.refresh_from_db()
    flags: list[str] = order.flags
    return flags


def test_a_dead_broker_fails_nobody_and_slows_nobody(database: None) -> None:
    with broker_at(free_port()):
        took = [seconds(an_order) for _ in range(20)]
        eventually(lambda: announcer.current().dropped > 0)

    assert max(took) < 0.5


def test_a_silent_broker_fails_nobody_and_slows_nobody(
    database: None, valkey: "redis.Redis"
) -> None:
    with Proxy(int(valkey.config_get("port")["port"] or 0)) as proxy, broker_at(proxy.port):
        proxy.is_black_hole = True
        took = [seconds(an_order) for _ in range(20)]
        eventually(lambda: announcer.current().dropped > 0, 10)

    assert max(took) < 0.5


def test_hints_are_sent_again_soon_after_the_broker_is_back(
    database: None, valkey: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "PAUSE", 0.2)
    with broker_at(free_port()):
        an_order()
        eventually(lambda: announcer.current().dropped == 1)

    def announced() -> bool:
        an_order()
        return bool(tasks(valkey))

    eventually(announced)


def seconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def test_a_forked_process_announces_with_a_thread_of_its_own() -> None:
    parent = announcer.current()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        mine = announcer.current()
        os.write(writer, b"1" if mine is not parent and mine.pid == os.getpid() else b"0")
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reader, 1) == b"1"
    os.close(reader)
    os.close(writer)


def test_the_queue_is_the_one_that_workers_read() -> None:
    assert django_settings.CELERY_TASK_DEFAULT_QUEUE == "ordercast"
