"""A worker that is killed takes nothing with it: a hint is only ever a hint."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.story.shop import Shop
from tests.story.stack import ROOT, Stack
from tests.story.teller import Teller

pytestmark = pytest.mark.stack

Worker = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def worker(stack: Stack) -> Iterator[Worker]:
    """Starts a worker that can be killed; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        command = "-A backend worker --pool threads --concurrency 4 -Q ordercast --without-mingle"
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", *command.split()],
            cwd=ROOT,
            env=stack.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def test_a_worker_killed_in_the_middle_loses_nothing_to_the_page(
    stack: Stack, worker: Worker
) -> None:
    running = worker()
    shop = Shop(stack.url, "demo-service-token", Teller())
    order = await shop.order(1_250)
    async with shop.page(order) as page:
        payment = await shop.begin(order)
        await page.becomes("awaiting_payment")

        running.kill()
        running.wait()
        await shop.at_checkout(payment, "pay")
        await page.becomes("paid", within=5)

        assert [event["version"] for event in page.events] == [2, 3]
    await shop.close()


async def test_with_no_worker_at_all_a_page_is_at_most_one_position_check_behind(
    stack: Stack,
) -> None:
    shop = Shop(stack.url, "demo-service-token", Teller())
    order = await shop.order(990)
    async with shop.page(order) as page:
        payment = await shop.begin(order)
        await page.becomes("awaiting_payment", within=5)
        await shop.at_checkout(payment, "decline")

        await page.becomes("failed", within=5)
    await shop.close()
