"""Standard Webhooks on our side of the wire, and the one HTTP header that providers write in two ways."""

import binascii
import hmac
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from orders.payments.base import BadSignature, Malformed

TOLERANCE = timedelta(minutes=5)  # what the Standard Webhooks libraries allow
MAX_EVENT_ID = 200
_YEAR_3000 = 32_503_680_000  # later ones are refused anyway, and would not fit a datetime


class Signatures:
    """Checks callbacks against several secrets, of which any may match. Raises `ValueError` for a bad secret."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("at least one webhook secret is needed")
        self._webhooks = [_webhook(number, secret) for number, secret in enumerate(secrets, 1)]

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
        """The event's id, if the callback is genuine and no older or newer than the tolerance.

        Whatever the headers and the body hold, raises nothing but `BadSignature` and, for a genuine callback with
        an id that could not be stored, `Malformed`.
        """
        # The package's own verify() asks the system clock, not ours, and fails in six ways on garbage. Its sign()
        # is the scheme itself: what it gives is compared here, in constant time, with what came.
        event_id, stamp, signatures = _headers(headers)
        at = _timestamp(stamp)
        if abs(now - at) > TOLERANCE:
            raise BadSignature(f"webhook-timestamp is more than {TOLERANCE} from now")
        try:
            text = body.decode()
            expected = [webhook.sign(event_id, at, text).encode() for webhook in self._webhooks]
            given = [signature.encode() for signature in signatures.split(" ")]
        except UnicodeError:
            raise BadSignature("the callback is not valid UTF-8") from None
        if not _any_match(expected, given):
            raise BadSignature("no signature matches")
        if len(event_id) > MAX_EVENT_ID or not event_id.isprintable():
            raise Malformed(f"webhook-id is longer than {MAX_EVENT_ID} characters or not printable")
        return event_id


def _webhook(number: int, secret: str) -> Webhook:
    try:
        return Webhook(secret)
    except (binascii.Error, ValueError, EmptyWebhookSecretError):
        # Never quote it: this line ends up in a log.
        raise ValueError(f"webhook secret number {number} is not base64 (whsec_…)") from None


def _headers(headers: Mapping[str, str]) -> tuple[str, str, str]:
    lower = {name.lower(): value for name, value in headers.items()}
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    missing = [name for name in names if not lower.get(name)]
    if missing:
        raise BadSignature(f"missing header: {', '.join(missing)}")
    return lower[names[0]], lower[names[1]], lower[names[2]]


def _timestamp(stamp: str) -> datetime:
    # Only the canonical form: the signature is made over the number, so "007" and "7" would be one message.
    if not re.fullmatch(r"[1-9][0-9]{0,10}", stamp, re.ASCII):
        raise BadSignature("webhook-timestamp is not a Unix time")
    return datetime.fromtimestamp(min(int(stamp), _YEAR_3000), UTC)


def _any_match(expected: list[bytes], given: list[bytes]) -> bool:
    """Compares each with each without stopping early, so that time tells nothing."""
    matches = [hmac.compare_digest(e, g) for e in expected for g in given]
    return any(matches)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds from a `Retry-After` header, which is a number or an HTTP date; None if it is neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        now = now or datetime.now(UTC)  # noqa: TID251 — the provider's clock is another's anyway; the caller bounds it
        seconds = (at - now).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
