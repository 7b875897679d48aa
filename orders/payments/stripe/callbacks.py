"""Stripe's events: who signed them, which of them concern us, and which tell enough.

A payment by Checkout is told of by `checkout.session.*`, a direct one by `payment_intent.*`. An event about anything
else (a refund, a dispute, a hold that was taken) does not carry the whole payment: then the provider is asked.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe
from pydantic import BaseModel, ConfigDict, ValidationError

from orders.payments.base import BadSignature, Malformed, ProviderEvent
from orders.payments.stripe.shapes import OUR_REF, Intent, Session, from_intent, from_session

TOLERANCE = timedelta(minutes=5)  # what Stripe's own libraries allow
_THIN = "v2.core.event"
_ID = re.compile(r"[\w-]{1,200}", re.ASCII)


class _Head(BaseModel):
    model_config = ConfigDict(strict=True)

    type: str
    object: str = "event"


class _Data(BaseModel):
    model_config = ConfigDict(strict=True)

    object: dict[str, Any]


class _Event(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str
    type: str
    created: int
    data: _Data


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raises `BadSignature` unless one of the secrets signed these bytes about now."""
    header = {name.lower(): value for name, value in headers.items()}.get("stripe-signature", "")
    stamp = re.match(r"t=([0-9]{1,10}),", header, re.ASCII)
    # The SDK compares text, and compare_digest wants it to be ASCII.
    if not header.isascii() or stamp is None:
        raise BadSignature("Stripe-Signature is missing or malformed")
    # Without a tolerance, as the SDK asks the system's clock; both ways, as a time from the future is no better.
    if abs(now - datetime.fromtimestamp(int(stamp[1]), UTC)) > TOLERANCE:
        raise BadSignature(f"Stripe-Signature is more than {TOLERANCE} from now")
    if not any([_is_signed(body, header, secret) for secret in secrets]):  # noqa: C419 — all, in constant time
        raise BadSignature("no signature matches")


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True


def parse(body: bytes) -> list[ProviderEvent]:
    """What a genuine body tells; nothing for what is not ours to know. Raises `Malformed`.

    The type alone is looked at first: what is not ours may have any shape, as Stripe's newer "thin" events do.
    """
    body = body.removeprefix(BOM_UTF8)
    try:
        head = _Head.model_validate_json(body)
        read = None if head.object == _THIN else _reader(head.type)
        if read is None:
            return []
        event = _Event.model_validate_json(body)
        found = read(event.data.object)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Malformed(f"signed, but not an event: {where}: {first['msg']}") from None
    except ValueError as wrong:
        raise Malformed(f"signed, but not readable: {wrong}") from None
    if not _ID.fullmatch(event.id):
        raise Malformed("signed, but its id could not be stored")
    if found is None:
        return []
    at = datetime.fromtimestamp(min(max(event.created, 0), 2**35), UTC)
    return [ProviderEvent(event_id=event.id, kind=event.type, occurred_at=at, **found)]


_Found = dict[str, Any] | None


def _reader(kind: str) -> Callable[[dict[str, Any]], _Found] | None:
    if kind == "payment_intent.created":
        return None  # our own doing, and its answer says the same
    if kind.startswith("payment_intent."):
        return _intent
    if kind.startswith("checkout.session."):
        return _session
    if (
        kind.startswith(("refund.", "charge.dispute.", "charge.refund."))
        or kind == "charge.refunded"
    ):
        return _part
    return None


def _intent(data: dict[str, Any]) -> _Found:
    intent = Intent.model_validate(data)
    if not (ours := intent.metadata.get(OUR_REF)):
        return None  # another program's payment in the same account
    if not intent.is_of_checkout:
        return {"snapshot": from_intent(intent)}
    if intent.status == "succeeded" and intent.capture_method != "manual":
        return None  # its session says the same, and by a name that is known here
    return {"merchant_ref": ours, "provider_ref": intent.id}


def _session(data: dict[str, Any]) -> _Found:
    if not isinstance(data.get("client_reference_id"), str) or OUR_REF not in (
        data.get("metadata") or {}
    ):
        return None
    session = Session.model_validate(data)
    if told := from_session(session):
        return {"snapshot": told}
    ref = session.intent_ref or session.id
    return {"merchant_ref": session.client_reference_id, "provider_ref": ref}


def _part(data: dict[str, Any]) -> _Found:
    """A refund, a charge or a dispute. It names its intent; whose intent that is, only what we made ourselves tells."""
    intent = data.get("payment_intent")
    ref = intent.get("id") if isinstance(intent, dict) else intent
    if not isinstance(ref, str):
        return None  # a charge from before there were intents
    is_ours = OUR_REF in (data.get("metadata") or {})
    return {"provider_ref": ref, "may_be_foreign": not is_ours}
