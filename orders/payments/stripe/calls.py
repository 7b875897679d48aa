"""Calls to Stripe by its SDK: one try each, over our own transport, and errors that say what to do next."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import stripe

from orders.payments.base import (
    AmbiguousOutcome,
    NotFound,
    ProviderError,
    RateLimited,
    RequestRefused,
    Unavailable,
)
from orders.payments.signatures import retry_after
from orders.payments.transport import NEVER_SENT, Transport

# What the shapes in this package were read from. A webhook endpoint must be made with the same version.
API_VERSION = "2026-10-28.endive"

# It would tell Stripe how our calls went, and keep an id in the home folder.
stripe.enable_telemetry = False


class _Client(stripe.HTTPClient):
    """The SDK's place for another HTTP client; what never left is told apart from what was never answered."""

    name = "httpx"

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport

    def request(  # type: ignore[override] # bytes, as the SDK's own clients give
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            answer, body = self._transport.send(
                method.upper(), url, headers=headers, content=post_data
            )
        except NEVER_SENT as wrong:
            raise Unavailable(f"cannot connect to Stripe: {_name(wrong)}") from wrong
        except httpx.RequestError as wrong:
            raise stripe.APIConnectionError(f"no answer: {_name(wrong)}") from wrong  # type: ignore[no-untyped-call]
        return body, answer.status_code, answer.headers

    def close(self) -> None:
        self._transport.close()


def client(key: str, url: str, timeout: float) -> tuple[stripe.StripeClient, Transport]:
    """The SDK's client, and what to close at its end. It never repeats a call by itself: we do, and count it."""
    transport = Transport(timeout)
    made = stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": url.rstrip("/")},
        max_network_retries=0,
        http_client=_Client(transport),
    )
    return made, transport


@contextmanager
def reading() -> Iterator[None]:
    """Around calls that change nothing: without an answer, ask again later."""
    with _translated(Unavailable):
        yield


@contextmanager
def writing() -> Iterator[None]:
    """Around calls that change something: without an answer, it may have been done."""
    with _translated(AmbiguousOutcome):
        yield


@contextmanager
def _translated(unknown: type[ProviderError]) -> Iterator[None]:
    try:
        yield
    except stripe.StripeError as error:
        raise _meaning(error, unknown) from error


def _meaning(error: stripe.StripeError, unknown: type[ProviderError]) -> ProviderError:
    status = error.http_status
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    text = f"HTTP {status}: {(error.user_message or type(error).__name__)[:500]}"
    wait = retry_after(headers.get("retry-after"))
    if isinstance(error, stripe.RateLimitError):
        return RateLimited(text, retry_after=wait)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        # Our key, not the payment: no order may fail for it, and it works again once the key is right.
        return Unavailable(f"Stripe rejected our API key: {text}")
    if status == 404:
        return NotFound(text)
    if status == 503:
        return Unavailable(text, retry_after=wait)
    # 409: the same key is being worked on this moment. Without a status, or with a success that is no JSON: who knows.
    if status is None or status < 400 or status in {408, 409} or status >= 500:
        return unknown(text)
    is_reused = isinstance(error, stripe.IdempotencyError)
    return RequestRefused(text, code="idempotency_key_reused" if is_reused else _code(error))


def _code(error: stripe.StripeError) -> str:
    """The bank's reason where there is one, else Stripe's."""
    decline = error.error.to_dict().get("decline_code") if error.error else None
    return str(decline or error.code or "refused")[:64]


def _name(wrong: Exception) -> str:
    return str(wrong) or type(wrong).__name__
