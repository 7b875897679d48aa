"""The life of the hub within its process: begun before the first request, and drained before the last.

uvicorn closes every connection as soon as SIGTERM reaches it. So ours is heard first: pages are sent away, spread
over a few seconds, and then uvicorn's own handler is called. A second signal does not wait.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from orders import clock
from realtime.hub import local
from realtime.hub.hub import Hub

logger = logging.getLogger(__name__)

# Python's own are for programs that make few objects: here a page that comes makes a hundred, and thousands come at
# once. With these, what is thrown away by then is collected as well, in a fraction of the rounds.
GC_THRESHOLDS = (20_000, 20, 20)


async def application(_scope: Any, receive: Any, send: Any) -> None:
    """The ASGI lifespan protocol."""
    stop_watching: Callable[[], None] | None = None
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                _drain_on_sigterm(local.running())
            except Exception as error:
                # Raised, it would be taken for a server without a lifespan, which goes on without a hub.
                logger.exception("the hub cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            stop_watching = clock.watch()
            _settle()
            await send({"type": "lifespan.startup.complete"})
        else:
            if stop_watching is not None:
                stop_watching()
            await local.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _settle() -> None:
    """Take what was imported out of the garbage collector's rounds: it stays for as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _drain_on_sigterm(the_hub: Hub) -> None:
    loop = asyncio.get_running_loop()
    earlier = signal.getsignal(signal.SIGTERM)

    def leave(number: int, frame: FrameType | None) -> None:
        if callable(earlier):
            earlier(number, frame)

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        if the_hub.is_draining:
            leave(number, frame)
            return
        the_hub.is_draining = True
        loop.call_soon_threadsafe(begin)

    def begin() -> None:
        draining = asyncio.ensure_future(the_hub.drain())
        # Kept by the hub, which outlives it. However the drain ends, the process must.
        the_hub.drain_task = draining
        draining.add_done_callback(lambda _: leave(signal.SIGTERM, None))

    try:
        signal.signal(signal.SIGTERM, on_sigterm)
    except ValueError:
        logger.debug("not in the main thread: whoever runs this server stops it")
