"""`python -m orders.payments.sandbox`: run the sandbox as a process of its own."""

import argparse
import os
import signal
import socket
import sqlite3
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

import uvicorn
from standardwebhooks import Webhook

from orders.payments.sandbox.app import Options, make_app
from orders.payments.sandbox.dialects import Dialect
from orders.payments.sandbox.http import CuttableProtocol


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orders.payments.sandbox",
        description="A payment system that misbehaves on purpose. Each option can also be given as SANDBOX_<NAME>.",
    )

    def add(name: str, text: str, default: str | None = None, kind: type = str) -> None:
        variable = f"SANDBOX_{name.upper().replace('-', '_')}"
        given = os.environ.get(variable) or default
        parser.add_argument(
            f"--{name}",
            default=given,
            type=kind,
            required=given is None,
            help=f"{text} [{variable}]",
        )

    add("host", "address to listen on", "127.0.0.1")
    add("port", "port to listen on; 0 picks a free one and prints it", "8100", int)
    add("data", "SQLite data file, created if missing", kind=Path)
    add("key", "bearer key of the API")
    add(
        "webhook-secret",
        "signs callbacks (Standard Webhooks), for example whsec_MfKQ9r8GKYqrTwjUPD8I",
    )
    add("public-url", "where browsers reach the checkout; http://<host>:<port> by default", "")
    add("stripe-callback-url", "where callbacks in Stripe's format are sent", "")
    add("console-password", "asked for before the console, of the user `demo`; none by default", "")
    add(
        "names",
        "host names that it answers to besides addresses and localhost, comma-separated",
        "",
    )
    add("framed-by", "the origin of a page that may show the sandbox in a frame", "")
    add("dialect", "an additional dialect, as module:Class", "")
    add("time-scale", "multiplies the delays between retries of a callback", "1", float)
    return parser


def _fail(message: str) -> NoReturn:
    sys.exit(f"sandbox: {message}")


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as wrong:
        _fail(f"cannot listen on {host}:{port}: {getattr(wrong, 'strerror', None) or wrong}")
    return listener


def _options(given: argparse.Namespace, port: int) -> Options:
    try:
        Webhook(given.webhook_secret)
    except Exception:  # noqa: BLE001 — the package raises what base64 and it please
        _fail("--webhook-secret must be base64, with or without whsec_ before it")
    if given.time_scale <= 0:
        _fail(f"--time-scale must be more than 0, not {given.time_scale:g}")
    if given.public_url and urlsplit(given.public_url).scheme not in ("http", "https"):
        _fail(f"--public-url must begin with http:// or https://, not {given.public_url!r}")
    host = f"[{given.host}]" if ":" in given.host else given.host
    return Options(
        data=given.data,
        key=given.key,
        webhook_secret=given.webhook_secret,
        public_url=given.public_url or f"http://{host}:{port}",
        time_scale=given.time_scale,
        dialects=[_dialect(given.dialect)] if given.dialect else [],
        stripe_callback_url=given.stripe_callback_url,
        console_password=given.console_password,
        framed_by=given.framed_by,
        names=[name.strip() for name in given.names.split(",") if name.strip()],
    )


def _dialect(path: str) -> Dialect:
    module, _, name = path.partition(":")
    try:
        made: Dialect = getattr(import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as wrong:
        _fail(f"--dialect {path!r} cannot be loaded: {wrong}")
    return made


class _Server(uvicorn.Server):
    """Says that it is ready when it really accepts connections."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"sandbox ready on {self._address}", flush=True)


def main() -> None:
    given = _parser().parse_args()
    listener = _bound(given.host, given.port)
    port = listener.getsockname()[1]
    options = _options(given, port)
    try:
        options.data.parent.mkdir(parents=True, exist_ok=True)
        app = make_app(options)
    except (OSError, sqlite3.Error) as wrong:
        _fail(f"cannot use {options.data}: {wrong}")
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        log_level="warning",
        proxy_headers=False,  # a connection is cut by the address that it really has
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,  # an answer that is slow on purpose need not be waited for
    )
    # uvicorn shuts down, then raises the signal again for whoever started it: that is us, and all is well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    _Server(config, f"http://{given.host}:{port}").run(sockets=[listener])


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
