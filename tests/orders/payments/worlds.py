"""A provider's server as its owner and its customers see it, and what is asked of it, for the conformance suite."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from orders.payments.base import (
    CancelPayment,
    CreatePayment,
    Provider,
    RefundPayment,
    Snapshot,
)

TIMEOUT = (
    1.0  # seconds, of the provider under test; less, and a busy machine looks like a slow provider
)


class World(Protocol):
    """The provider's server, as its owner and its customers see it."""

    callback_url: str
    secret: str
    other_secret: str  # well-formed, and not the provider's

    def provider(
        self, *, url: str | None = None, secrets: Sequence[str] | None = None
    ) -> Provider: ...
    def act(self, payment: Snapshot, action: str, amount: int | None = None) -> None: ...
    def fault(self, kind: str, *calls: str, **options: Any) -> None: ...
    def callbacks(self, least: int = 1) -> Sequence[tuple[Mapping[str, str], bytes]]: ...
    def confirmed(self, request: CreatePayment) -> CreatePayment:
        """The same, to be charged at once, by whatever test means the provider needs for that."""
        ...

    def declined(self, request: CreatePayment) -> CreatePayment:
        """The same, by a customer who has no money."""
        ...


def asked(world: World, **changes: Any) -> CreatePayment:
    """A request for a payment that was never asked for before."""
    request = CreatePayment(
        merchant_ref=secrets.token_hex(16),
        amount=1250,
        currency="EUR",
        return_url="http://127.0.0.1:9/back",
        callback_url=world.callback_url,
    )
    return replace(request, **changes)


def refund_of(payment: Snapshot, amount: int) -> RefundPayment:
    return RefundPayment(
        ref=secrets.token_hex(16),
        merchant_ref=payment.merchant_ref,
        provider_ref=payment.provider_ref,
        amount=amount,
    )


def cancel_of(payment: Snapshot) -> CancelPayment:
    return CancelPayment(merchant_ref=payment.merchant_ref, provider_ref=payment.provider_ref)
