"""Announcements are done where they are received: nothing that takes long in the worker's pool holds them up."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import transaction

from orders.models.rows import execute, fetch
from realtime.pubsub import names
from tests.waiting import eventually
from tests.working import a_worker
from workers import tasks

REF = "0" * 32


@pytest.fixture
def worker_of_one(
    child_environment: dict[str, str], database: None, valkey: redis.Redis
) -> Iterator[None]:
    """A worker that can do one thing at a time."""
    with a_worker(child_environment, concurrency=1):
        yield


@pytest.mark.stack
def test_what_is_announced_does_not_wait_for_a_worker_that_is_busy(
    worker_of_one: None, valkey: redis.Redis
) -> None:
    untyped: Any = valkey
    with untyped.pubsub() as heard, transaction.atomic():
        group = names.group_name(names.order_topic(REF))
        heard.subscribe(f"{settings.ORDERCAST_CHANNEL_PREFIX}__group__{group}")
        heard.get_message(timeout=5)  # that it is subscribed
        execute("LOCK TABLE orders_refreshitem IN ACCESS EXCLUSIVE MODE", [])
        for _ in range(12):  # more than a worker of one would take before it has acknowledged some
            tasks.refresh.delay(1)  # waits for that table until this transaction ends
        eventually(_somebody_waits, saying="the worker waited for the lock")

        tasks.announce.delay([[REF, "epoch", 7, "the frame"]])

        message = eventually(lambda: heard.get_message(timeout=1))
    assert b"the frame" in message["data"]


def _somebody_waits() -> bool:
    return fetch("SELECT count(*) FROM pg_locks WHERE NOT granted", []) != (0,)
