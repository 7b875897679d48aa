"""What `manage.py up` does, from the lock on the data folder to the last process that has stopped."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import psycopg
import redis
from django.core.management import call_command
from django.db import Error, connection

from backend.config.addresses import shown
from backend.config.variables import Environment
from backend.http import healthcheck
from backend.management.commands.prepare import DEMO_LOGIN
from backend.server.options import uvicorn_arguments
from backend.settings import ENV
from backend.up import command_line, embedded, network, preflight, readiness
from backend.up.child import EmbeddedError, Server
from backend.up.process_group import SIGNALS, Stack
from orders import demo
from orders.access import issue_grant
from orders.access.links import page_url
from orders.models import Order


def run(options: Mapping[str, Any]) -> str:
    """Run everything until a signal. Returns what died instead, or "". Raises `EmbeddedError`, in one line."""
    began = time.monotonic()
    parts = [part for part in command_line.PARTS if part not in options["without"]]
    host = command_line.address(options["host"])
    web, sandbox = f"http://{host}:{options['port']}", f"http://{host}:{options['sandbox_port']}"
    with ExitStack() as cleanup:
        cleanup.enter_context(preflight.locked(ENV.ORDERCAST_DATA))
        for part, port in (("web", options["port"]), ("sandbox", options["sandbox_port"])):
            if part in parts:
                preflight.check_port(part, options["host"], port)
        _say_what_is_used()
        servers = _start_servers(cleanup)
        orders = _prepare_database()
        are_ready = {
            "web": lambda: healthcheck.answers(f"{web}/health/ready"),
            "sandbox": lambda: healthcheck.answers(f"{sandbox}/health"),
            "worker": readiness.worker_answers,
        }
        stack = Stack(
            lambda stack: readiness.watch(
                stack,
                {part: is_ready for part, is_ready in are_ready.items() if part in parts},
                servers,
                lambda: _welcome(parts, orders, time.monotonic() - began),
            )
        )
        for part in parts:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1", **_secrets(part)}
            stack.add(part, _command(part, options), environment)
        stack.run()
    return stack.died


def _say_what_is_used() -> None:
    """Which database it will change, before it does."""
    database = shown(ENV.DATABASE_URL) or f"PostgreSQL of its own in {ENV.ORDERCAST_DATA}"
    valkey = shown(ENV.VALKEY_URL) or "one of its own"
    print(f"Database: {database}\nValkey: {valkey}", flush=True)
    if command_line.left_out:
        names = ", ".join(sorted(command_line.left_out))
        print(
            f"Not used: {names}. The demo reads variables that begin with ORDERCAST_; "
            "--database and --valkey name servers for it.",
            flush=True,
        )


def _start_servers(cleanup: ExitStack) -> list[Server]:
    servers = []
    if ENV.DATABASE_URL:
        _reach_database()
    else:
        servers.append(embedded.start_postgres(ENV.ORDERCAST_DATA))
        _stop_at_the_end(cleanup, servers[-1])
    if ENV.VALKEY_URL:
        _reach_valkey()
    else:
        servers.append(embedded.start_valkey(ENV.ORDERCAST_DATA))
        _stop_at_the_end(cleanup, servers[-1])
    return servers


def _stop_at_the_end(cleanup: ExitStack, server: Server) -> None:
    cleanup.callback(server.stop)
    # Runs just before it: another Ctrl-C must not interrupt the stopping, which ends by itself.
    cleanup.callback(lambda: [signal.signal(number, signal.SIG_IGN) for number in SIGNALS])


def _reach_database() -> None:
    try:
        psycopg.connect(ENV.DATABASE_URL, connect_timeout=3).close()
    except psycopg.Error as error:
        raise EmbeddedError(
            f"cannot reach the database {shown(ENV.DATABASE_URL)}: {_first_line(error)}"
        ) from None


def _reach_valkey() -> None:
    try:
        with redis.Redis.from_url(
            ENV.VALKEY_URL, socket_connect_timeout=3, socket_timeout=3
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise EmbeddedError(
            f"cannot reach the Valkey {shown(ENV.VALKEY_URL)}: {_first_line(error)}"
        ) from None


def _prepare_database() -> list[Order]:
    """Returns the demo's orders, if there are to be any."""
    try:
        if ENV.ORDERCAST_DEMO and ENV.DATABASE_URL:
            preflight.refuse_a_foreign_database(shown(ENV.DATABASE_URL))
        call_command("prepare", verbosity=0)
        return demo.seed() if ENV.ORDERCAST_DEMO else []
    except Error as error:
        raise EmbeddedError(f"cannot prepare the database: {_first_line(error)}") from None
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined] # nothing here asks the database again


def _first_line(error: Exception) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )


def _command(part: str, options: Mapping[str, Any]) -> list[str]:
    level = ENV.ORDERCAST_LOG_LEVEL.lower()
    words = {
        "web": [
            *("-m", "uvicorn", "backend.asgi:application", "--host", options["host"]),
            *("--port", str(options["port"]), "--timeout-graceful-shutdown", "3"),
            *uvicorn_arguments(),
            *("--log-level", level, "--no-access-log"),
        ],
        "worker": [*command_line.WORKER, "--loglevel", level],
        "beat": [*command_line.BEAT, "--loglevel", level],
        "sandbox": [
            *("-m", "orders.payments.sandbox", "--host", options["host"]),
            *("--port", str(options["sandbox_port"])),
            *("--data", str(ENV.ORDERCAST_DATA / "sandbox.sqlite3")),
        ],
    }
    return [sys.executable, *words[part]]


def _secrets(part: str) -> dict[str, str]:
    """Handed over in the environment: everybody can read a command line."""
    if part != "sandbox":
        return {}
    return {
        "SANDBOX_KEY": ENV.ORDERCAST_HOUSE_KEY,
        "SANDBOX_WEBHOOK_SECRET": ENV.ORDERCAST_HOUSE_WEBHOOK_SECRETS[0],
        "SANDBOX_PUBLIC_URL": ENV.ORDERCAST_HOUSE_URL,
        "SANDBOX_FRAMED_BY": ENV.ORDERCAST_PUBLIC_URL,
        "SANDBOX_NAMES": ",".join(ENV.ORDERCAST_HOSTS),
        # Where it is everybody's, everybody knows it; a console on this machine asks for none.
        "SANDBOX_CONSOLE_PASSWORD": _console_password(),
        "SANDBOX_STRIPE_CALLBACK_URL": f"{ENV.ORDERCAST_PUBLIC_URL}/callbacks/stripe/",
    }


def _console_password() -> str:
    own = ENV.ORDERCAST_DEMO_PASSWORD
    return "" if own == Environment.model_fields["ORDERCAST_DEMO_PASSWORD"].default else own


def _welcome(parts: Sequence[str], orders: Sequence[Order], seconds: float) -> str:
    public = ENV.ORDERCAST_PUBLIC_URL
    rows = []
    if "web" in parts:
        rows += [
            (order.metadata.get("title", order.ref), page_url(order.ref, issue_grant([order.ref])))
            for order in orders
        ]
        login = (
            f"   (log in as {DEMO_LOGIN}, password {ENV.ORDERCAST_DEMO_PASSWORD})"
            if ENV.ORDERCAST_DEMO
            else ""
        )
        if ENV.ORDERCAST_DEMO:
            rows = [("Try it: pay, and watch", f"{public}/demo/"), *rows]
            rows += [("A shop's own page", f"{public}/embed/")]
        rows += [
            ("Admin", f"{public}/admin/{login}"),
            ("Staff board", f"{public}/board/"),
            ("API", f"{public}/api/docs"),
        ]
    if "sandbox" in parts:
        rows += [("Payment sandbox", f"{ENV.ORDERCAST_HOUSE_URL}/")]
    if _console_password():
        rows += [("Secrets of this demo", str(network.secrets_file(ENV.ORDERCAST_DATA)))]
    width = max((len(name) for name, _ in rows), default=0) + 2
    return "\n".join(
        [
            "",
            f"Ordercast is ready after {seconds:.1f} s: {', '.join(parts)}",
            "",
            *(f"  {name:<{width}}{url}" for name, url in rows),
            "",
            "  Ctrl-C stops everything; the next start finds the data again.",
            "",
        ]
    )
