"""What the sandbox remembers: one SQLite file, which survives a kill at any moment.

Called from the event loop's thread alone. Every method takes well under a millisecond on a local disk.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orders.payments.sandbox.faults import Fault, Faults
from orders.payments.sandbox.payments import Payment

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    provider_ref TEXT PRIMARY KEY, merchant_ref TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL, data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS payments_created ON payments (created_at);
CREATE TABLE IF NOT EXISTS answers (
    scope TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE TABLE IF NOT EXISTS addresses (dialect TEXT PRIMARY KEY, url TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (subject TEXT PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY, payment TEXT NOT NULL, action TEXT NOT NULL, amount INTEGER, due_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due_at);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, payment TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL, url TEXT NOT NULL,
    body BLOB NOT NULL, manner TEXT NOT NULL, is_once INTEGER NOT NULL, is_held INTEGER NOT NULL,
    state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL, due_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_payment ON deliveries (payment);
CREATE TABLE IF NOT EXISTS tries (
    delivery INTEGER NOT NULL, at REAL NOT NULL, status INTEGER, error TEXT NOT NULL, ms REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS tries_delivery ON tries (delivery);
"""
GLOBAL = ""  # the subject of the faults that every payment has


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event on its way to one address. `state`: pending, delivered, given_up, or lost (never sent)."""

    id: int = 0
    payment: str
    event_id: str
    type: str
    url: str
    body: bytes
    manner: str
    is_once: bool = False
    is_held: bool = False
    state: str = "pending"
    tries: int = 0
    created_at: float
    due_at: float


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something that will happen to a payment by itself."""

    id: int
    payment: str
    action: str
    amount: int | None
    due_at: float


class Store:
    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. May be entered again inside itself, where it joins the outer one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # payments

    def save(self, payment: Payment) -> None:
        self._db.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?)"
            " ON CONFLICT (provider_ref) DO UPDATE SET data = excluded.data",
            (
                payment.provider_ref,
                payment.merchant_ref,
                payment.created_at,
                json.dumps(payment.dump()),
            ),
        )

    def payment(self, ref: str) -> Payment | None:
        """By the provider's reference or the merchant's."""
        row = self._db.execute(
            "SELECT data FROM payments WHERE provider_ref = ?1"
            " UNION SELECT data FROM payments WHERE merchant_ref = ?1",
            (ref,),
        ).fetchone()
        return Payment.load(json.loads(row["data"])) if row else None

    def payments_after(self, created_after: str, limit: int) -> list[Payment]:
        rows = self._db.execute(
            "SELECT data FROM payments WHERE created_at > ? ORDER BY created_at LIMIT ?",
            (created_after, limit),
        )
        return [Payment.load(json.loads(row["data"])) for row in rows]

    def newest_payments(self, limit: int) -> list[Payment]:
        rows = self._db.execute(
            "SELECT data FROM payments ORDER BY created_at DESC LIMIT ?", (limit,)
        )
        return [Payment.load(json.loads(row["data"])) for row in rows]

    # answers that were given, by idempotency key

    def answer(self, scope: str, key: str) -> tuple[str, int, bytes] | None:
        """The request's hash, and the status and body that it was answered with."""
        row = self._db.execute(
            "SELECT request, status, body FROM answers WHERE scope = ? AND key = ?", (scope, key)
        ).fetchone()
        return tuple(row) if row else None

    def keep_answer(self, scope: str, key: str, request: str, status: int, body: bytes) -> None:
        self._db.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?)", (scope, key, request, status, body)
        )

    # where a dialect calls back that is not told with each payment

    def address(self, dialect: str) -> str:
        row = self._db.execute("SELECT url FROM addresses WHERE dialect = ?", (dialect,)).fetchone()
        return row["url"] if row else ""

    def set_address(self, dialect: str, url: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO addresses VALUES (?, ?)", (dialect, url))

    # faults

    def faults(self, subject: str) -> tuple[Fault, ...] | None:
        """Of one payment (by the merchant's reference) or GLOBAL; None if none were ever set."""
        row = self._db.execute("SELECT data FROM faults WHERE subject = ?", (subject,)).fetchone()
        return Faults.validate_json(row["data"]) if row else None

    def set_faults(self, subject: str, faults: Sequence[Fault]) -> None:
        self._db.execute(
            "INSERT INTO faults VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET data = excluded.data",
            (subject, Faults.dump_json(tuple(faults)).decode()),
        )

    # jobs

    def add_job(self, payment: str, action: str, due_at: float, amount: int | None = None) -> None:
        self._db.execute(
            "INSERT INTO jobs (payment, action, amount, due_at) VALUES (?, ?, ?, ?)",
            (payment, action, amount, due_at),
        )

    def due_jobs(self, now: float) -> list[Job]:
        rows = self._db.execute(
            "SELECT * FROM jobs WHERE due_at <= ? ORDER BY due_at, id LIMIT 100", (now,)
        )
        return [Job(**row) for row in rows]

    def drop_job(self, job_id: int) -> None:
        self._db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    # deliveries

    def add_delivery(self, delivery: Delivery) -> None:
        columns = {k: v for k, v in vars(delivery).items() if k != "id"}
        marks = ", ".join(f":{name}" for name in columns)
        self._db.execute(
            f"INSERT INTO deliveries ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 — our own field names
            columns,
        )

    def due_deliveries(self, now: float, busy: Sequence[str], limit: int) -> list[Delivery]:
        """What is to be sent now, oldest first, but nothing of the payments in `busy`."""
        # The busy ones as one JSON value: a list has no parameter of its own in SQL.
        rows = self._db.execute(
            "SELECT * FROM deliveries WHERE state = 'pending' AND due_at <= ?"
            " AND payment NOT IN (SELECT value FROM json_each(?)) ORDER BY due_at, id LIMIT ?",
            (now, json.dumps(list(busy)), limit),
        )
        return [_delivery(row) for row in rows]

    def deliveries_of(self, payment: str) -> list[Delivery]:
        rows = self._db.execute(
            "SELECT * FROM deliveries WHERE payment = ? ORDER BY id", (payment,)
        )
        return [_delivery(row) for row in rows]

    def tries_of(self, delivery: int) -> list[dict[str, Any]]:
        rows = self._db.execute(
            "SELECT at, status, error, ms FROM tries WHERE delivery = ? ORDER BY rowid", (delivery,)
        )
        return [dict(row) for row in rows]

    def note_try(
        self, delivery: Delivery, *, at: float, status: int | None, error: str, ms: float,
        state: str, due_at: float,
    ) -> None:  # fmt: skip
        """Write down one try and what follows from it; a delivery sets free those that were held behind it."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO tries VALUES (?, ?, ?, ?, ?)", (delivery.id, at, status, error, ms)
            )
            self._db.execute(
                "UPDATE deliveries SET state = ?, due_at = ?, tries = tries + 1 WHERE id = ?",
                (state, due_at, delivery.id),
            )
            if state == "delivered":
                self._db.execute(
                    "UPDATE deliveries SET due_at = min(due_at, ?)"
                    " WHERE payment = ? AND is_held AND state = 'pending' AND event_id <> ?",
                    (at, delivery.payment, delivery.event_id),
                )

    def next_due(self, now: float) -> float | None:
        """When the next job or delivery that is not due yet will be."""
        row = self._db.execute(
            "SELECT min(due_at) FROM (SELECT min(due_at) AS due_at FROM jobs WHERE due_at > ?1 UNION ALL"
            " SELECT min(due_at) FROM deliveries WHERE state = 'pending' AND due_at > ?1)",
            (now,),
        ).fetchone()
        return None if row[0] is None else float(row[0])


def _delivery(row: sqlite3.Row) -> Delivery:
    fields = dict(row)
    return Delivery(**fields | {"is_once": bool(row["is_once"]), "is_held": bool(row["is_held"])})
