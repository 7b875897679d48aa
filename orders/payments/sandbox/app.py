"""The sandbox as one ASGI application, with its courier running beside it."""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders.payments.sandbox import checkout, control
from orders.payments.sandbox.admission import ConsolePassword, FramedBy, NamedHosts
from orders.payments.sandbox.delivery import Courier
from orders.payments.sandbox.desk import Desk
from orders.payments.sandbox.dialects import Dialect
from orders.payments.sandbox.dialects.house import House
from orders.payments.sandbox.dialects.stripe_api import Stripe
from orders.payments.sandbox.http import Sandbox, json_response
from orders.payments.sandbox.store import Store


@dataclass(frozen=True, kw_only=True)
class Options:
    """`time_scale` multiplies the pauses between a callback's tries."""

    data: Path
    key: str
    webhook_secret: str
    public_url: str
    time_scale: float = 1.0
    dialects: Sequence[Dialect] = ()  # beside its own
    stripe_callback_url: str = ""  # Stripe has one address for the whole account
    console_password: str = ""  # of the user `demo`; none: whoever reaches the console may use it
    framed_by: str = ""  # the origin of a page that may show these pages in a frame
    names: Sequence[str] = ()  # that it is reached by, besides addresses and localhost


def make_app(options: Options) -> Starlette:
    """Raises `sqlite3.Error` if the data file cannot be used."""
    dialects = [House(), Stripe(), *options.dialects]
    desk = Desk(Store(options.data), options.public_url, dialects)
    if options.stripe_callback_url:
        desk.store.set_address(Stripe.name, options.stripe_callback_url)
    courier = Courier(desk, options.webhook_secret, time_scale=options.time_scale)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(courier.run())
        task.add_done_callback(_stop_if_broken)
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        desk.store.close()

    app = Starlette(
        routes=[
            *(route for dialect in dialects for route in dialect.routes),
            *control.routes,
            *checkout.routes,
            Route("/health", health, methods=["GET"]),
        ],
        lifespan=lifespan,
        middleware=[
            Middleware(
                NamedHosts, names=[*options.names, urlsplit(options.public_url).hostname or ""]
            ),
            Middleware(ConsolePassword, password=options.console_password),
            Middleware(FramedBy, origin=options.framed_by),
        ],
    )
    app.state.sandbox = Sandbox(desk=desk, key=options.key)
    return app


async def health(_request: Request) -> Response:
    return json_response({"status": "ok"})


def _stop_if_broken(task: asyncio.Task[None]) -> None:
    # A sandbox that answers but delivers nothing would look like a lost callback for ever.
    if not task.cancelled() and (wrong := task.exception()):
        traceback.print_exception(wrong, file=sys.stderr)
        os.kill(os.getpid(), signal.SIGTERM)
