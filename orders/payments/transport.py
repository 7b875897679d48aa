"""HTTP to a provider, with an end to everything: httpx bounds each read, not their sum, and no answer's length."""

import time
from codecs import BOM_UTF8
from typing import Any

import httpx

from orders.payments import outgoing

MAX_ANSWER = 1_000_000  # bytes; a payment is a few thousand
# What httpx raises before the first byte of a request has left: nothing can have been done.
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)


class Transport:
    """Keeps connections, safe from any thread. `timeout` in seconds, for each phase and for the answer as a whole."""

    def __init__(self, timeout: float, **options: Any) -> None:
        self._timeout = timeout
        self._client = outgoing.client(
            timeout=timeout,
            # Shorter than any server's own, or a call meets a connection that is just being closed.
            limits=httpx.Limits(keepalive_expiry=4.0),
            **options,
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def send(self, method: str, url: str, **options: Any) -> tuple[httpx.Response, bytes]:
        """The answer and its whole body, without a byte order mark.

        Raises `httpx.RequestError`; of its kinds, `NEVER_SENT` did nothing.
        """
        with self._client.stream(method, url, **options) as response:
            deadline = time.monotonic() + self._timeout
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER or time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer is too long, or too slow")
            return response, bytes(body.removeprefix(BOM_UTF8))
