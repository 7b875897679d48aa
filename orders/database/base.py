"""Django's backend for PostgreSQL (`ENGINE = "orders.database"`), that is back as soon as the database is.

psycopg's pool hands out what died meanwhile, and doubles its pauses while the database is away. Here a connection is
looked at before it is handed out, one that is lost takes all others of its server with it, and while nothing can be
connected to, whoever asks hears so within a second. A server that takes no writes is left (`errors.ReadOnly`).

Limit: a server that has gone silent without closing its connections is noticed by TCP alone, within ten seconds.
"""

import logging
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, TypeVar

import psycopg
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper, OperationalError
from psycopg_pool import PoolTimeout

from orders.database import errors
from orders.database.connecting import Connection, Server, server_of

log = logging.getLogger(__name__)

C = TypeVar("C", bound="psycopg.Connection[Any]")
TRIES = 3  # connections found lost in a row before it is said that the database is away
FIRST_WAIT = (
    1.0  # seconds for a connection while none is open: then it is known whether one can be made
)
_REPORTED = (
    "in_hot_standby",
    "default_transaction_read_only",
)  # by PostgreSQL, without being asked


class DatabaseWrapper(base.DatabaseWrapper):
    """`OPTIONS` knows two more names: `pooler`, "transaction" behind PgBouncer, where a session's settings would be
    given to others, and `limits`, what a session or each transaction sets for itself, by name."""

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        self._is_limited = True
        if isinstance(pool := settings_dict["OPTIONS"].get("pool"), dict):
            pool.setdefault("connection_class", Connection)

    @cached_property
    def wrap_database_errors(self) -> "_Errors":
        return _Errors(self)

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        limits, pooler = params.pop("limits", {}), params.pop("pooler", "")
        if pooler:
            return params
        ours = " ".join(f"-c {name}={value}" for name, value in limits.items())
        # What the address says comes last, and so counts.
        params["options"] = f"{ours} {params.get('options', '')}".strip()
        params.setdefault("target_session_attrs", "read-write")
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> "psycopg.Connection[Any]":
        if self.pool is None:
            return super().get_new_connection(conn_params)  # type: ignore[no-any-return]
        server = server_of(conn_params)
        for _ in range(TRIES):
            connection = self._from_pool(server)
            if not self._is_lost(connection):
                return connection
            drain(self.pool)
            self.pool.putconn(connection)
        raise psycopg.OperationalError(
            "each connection to the database is lost, or takes no writes"
        )

    def let_go(self) -> None:
        """Connect anew from now on: this server is not the one that is wanted any more."""
        if self.pool is not None:
            drain(self.pool)

    def bound_cursor(self) -> Any:
        """As `cursor`; but Django's own puts values into the text, which PostgreSQL then plans each time."""
        self.ensure_connection()
        with self.wrap_database_errors:
            raw: Any = psycopg.Cursor(self.connection)
        return self.make_debug_cursor(raw) if self.queries_logged else self.make_cursor(raw)

    @contextmanager
    def unlimited(self) -> Iterator[None]:
        """For what an operator starts and waits for: migrations, and reading every order."""
        names = self._limits
        try:
            self._is_limited = False
            self._say([f"SET {name} = 0" for name in names])
            yield
        finally:
            self._is_limited = True
            if self.connection is not None and not self.connection.closed:
                self._say([f"RESET {name}" for name in names])

    def _say(self, statements: list[str]) -> None:
        if statements and not self._pooler:
            with self.cursor() as cursor:
                cursor.execute("; ".join(statements))

    @property
    def _limits(self) -> dict[str, str]:
        return self.settings_dict["OPTIONS"].get("limits", {})  # type: ignore[no-any-return]

    @property
    def _pooler(self) -> str:
        return self.settings_dict["OPTIONS"].get("pooler", "")  # type: ignore[no-any-return]

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc] # which the stubs leave out
        if not autocommit and self._pooler and self._is_limited and self._limits:
            said = "; ".join(
                f"SET LOCAL {name} = '{value}'" for name, value in self._limits.items()
            )
            with self.wrap_database_errors:
                self.connection.execute(said)

    def _from_pool(self, server: Server) -> "psycopg.Connection[Any]":
        pool = self.pool
        pool.open()
        deadline = time.monotonic() + pool.timeout
        while True:
            if server.is_down:
                raise _away(server)
            left = deadline - time.monotonic()
            try:
                return pool.getconn(left if server.has_connections else min(left, FIRST_WAIT))  # type: ignore[no-any-return]
            except PoolTimeout:
                if time.monotonic() >= deadline:
                    if server.has_connections:
                        raise
                    raise _away(server) from None

    def _is_lost(self, connection: "psycopg.Connection[Any]") -> bool:
        """Costs no question: a connection that has something to read was closed, or told of a change."""
        try:
            if _has_something_to_read(connection):
                connection.execute("")
        except psycopg.Error as error:
            log.info("database connection lost: %s", error)
            return True
        status = connection.info.parameter_status
        return not self._pooler and any(status(name) == "on" for name in _REPORTED)


def _away(server: Server) -> Exception:
    kind = errors.ReadOnly if server.is_read_only else psycopg.OperationalError
    return kind(f"cannot connect to the database: {server.why}")


def drain(pool: Any) -> None:
    """Let go of every connection, those in use once they come back: whatever ended one has ended all, as a rule."""
    now = time.monotonic()
    if now - getattr(pool, "ordercast_drained_at", float("-inf")) > 1.0:
        pool.ordercast_drained_at = now
        pool.drain()


def _has_something_to_read(connection: "psycopg.Connection[Any]") -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Errors(DatabaseErrorWrapper):
    """Django's translation of psycopg's errors, that knows which of them are an outage."""

    wrapper: DatabaseWrapper

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, psycopg.Error):
            if errors.has_gone(error):
                self.wrapper.let_go()
            if isinstance(error, PoolTimeout):
                raise errors.PoolExhausted(*error.args) from error
            if error.sqlstate in errors.TRANSLATED:
                self.wrapper.errors_occurred = True
                known = errors.ReadOnly if error.sqlstate == errors.READ_ONLY else OperationalError
                raise known(*error.args) from error
        super().__exit__(kind, error, trace)
