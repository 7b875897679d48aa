"""Tasks that are kept: asyncio itself holds only weak references, and a task that dies says nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

logger = logging.getLogger(__name__)

PAUSES = (0.1, 0.25, 0.5, 1.0, 2.0)  # seconds before a restart; the last one repeats
CALM = 10.0  # seconds without an error after which the pauses begin anew


class Supervisor:
    """Keeps every task until it ends, and starts the services among them again when they die."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._services: dict[str, asyncio.Task[None]] = {}
        self.restarts: dict[str, int] = {}

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` once. An error in it is logged."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def serve(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        """Run `service` for ever; it may end only by being stopped."""
        self.restarts[name] = 0
        self._services[name] = self.spawn(self._serve(name, service), name)

    async def stop(self) -> None:
        await _end(list(self._tasks), 1.0)

    def health(self) -> dict[str, dict[str, Any]]:
        return {
            name: {"is_running": not task.done(), "restarts": self.restarts[name]}
            for name, task in self._services.items()
        }

    async def _serve(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        in_a_row = 0
        while True:
            began = loop.time()
            life = loop.create_task(_live(service), name=f"{name} life")
            try:
                await asyncio.wait([life])
                life.result()
            except asyncio.CancelledError:
                if not life.cancelled():  # we are stopped, not the service
                    await _end([life], 0.05)
                    raise
            except Exception as error:  # noqa: BLE001 — whatever kills a service, it comes back
                if loop.time() - began > CALM:
                    in_a_row = 0
                if in_a_row % 30 == 0:
                    logger.warning("service %s crashed, restarting: %r", name, error)
            self.restarts[name] += 1
            await asyncio.sleep(PAUSES[min(in_a_row, len(PAUSES) - 1)])
            in_a_row += 1

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("task %s failed", task.get_name(), exc_info=error)


async def _end(tasks: Iterable[asyncio.Task[Any]], again: float) -> None:
    """Cancel them until they end, each time after `again` seconds: redis-py, for one, can swallow a cancellation that
    comes while it connects.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again)


async def _live(service: Callable[[], Awaitable[None]]) -> None:
    await service()
