"""How different payment systems speak: each dialect tells of the same payments, by its own rules.

A dialect has its own API (`routes`), and says of each callback what it is called, what is in it, how it is signed and
which answer counts as taken. Another one is given to the sandbox by its import path (`--dialect`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from starlette.routing import BaseRoute

from orders.payments.sandbox.payments import Payment


@dataclass(frozen=True)
class Told:
    """One message about a payment, before it is written in some dialect."""

    event_id: str
    type: str


class Dialect(Protocol):
    name: str
    routes: Sequence[BaseRoute]

    def tells(self, payment: Payment, event_type: str) -> list[str]:
        """What it calls the sandbox's event; several where it tells of one thing in several messages."""
        ...

    def body(
        self, payment: Payment, told: Told, checkout_url: str, changes: dict[str, Any]
    ) -> bytes:
        """With `changes` written over what is true of the payment."""
        ...

    def headers(self, event_id: str, body: bytes, secret: str, at: datetime) -> dict[str, str]: ...

    def is_taken(self, status: int, answer: bytes) -> bool:
        """Whether this answer to a callback ends its delivery."""
        ...
