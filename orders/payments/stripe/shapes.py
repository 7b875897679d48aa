"""What is read of Stripe's objects, and what it means in our terms. Pure: no calls, no SDK.

A payment is a Checkout Session with a PaymentIntent inside (from the moment that the customer confirms), or a
PaymentIntent alone. The session's id is our reference for it until there is an intent, and the intent's from then on.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from orders.payments import money
from orders.payments.base import (
    DisputeStatus,
    PaymentStatus,
    RefundSnapshot,
    RefundStatus,
    Snapshot,
)
from orders.payments.money import NotRepresentable, exponent, rescaled

OUR_REF = "ordercast_ref"  # in the metadata of all that we make
FLOW = "ordercast_flow"  # "checkout" or "direct", in an intent's metadata

# Where Stripe's minor unit is not ISO 4217's: two are written with decimals that must be zero, one without.
_EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}


def _storable(value: object) -> object:
    return (value or "").replace("\x00", "\ufffd") if isinstance(value, str | None) else value


Amount = Annotated[int, Field(ge=0, le=2**63 - 1)]
# Texts are bounded as the tables are, and PostgreSQL takes no NUL.
Id = Annotated[str, StringConstraints(pattern=r"^\w{1,128}$")]
Text = Annotated[str, BeforeValidator(_storable)]
Metadata = Annotated[dict[str, Text], BeforeValidator(lambda value: value or {})]


def to_stripe(amount: int, currency: str) -> int:
    """Raises `money.NotRepresentable`. Of three-decimal currencies Stripe wants the last digit zero, and says so."""
    theirs = _EXPONENTS.get(currency, exponent(currency))
    try:
        return rescaled(amount, from_exponent=exponent(currency), to_exponent=theirs)
    except NotRepresentable:
        raise NotRepresentable(
            f"Stripe cannot charge {money.plain(amount, currency)} exactly"
        ) from None


def from_stripe(amount: int, currency: str) -> int:
    theirs = _EXPONENTS.get(currency, exponent(currency))
    return rescaled(amount, from_exponent=theirs, to_exponent=exponent(currency))


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Refund(_Shape):
    id: Id
    amount: Amount
    status: str | None = None
    metadata: Metadata = {}


class Refunds(_Shape):
    data: list[Refund]
    has_more: bool = False


class Card(_Shape):
    capture_before: int | None = None


class Method(_Shape):
    card: Card | None = None


class Charge(_Shape):
    disputed: bool = False
    refunds: Refunds | None = None
    payment_method_details: Method | None = None

    @property
    def hold_ends_at(self) -> datetime | None:
        """When held money falls back by itself; Stripe says it for cards."""
        card = self.payment_method_details.card if self.payment_method_details else None
        before = card.capture_before if card else None
        return datetime.fromtimestamp(before, UTC) if before else None


class Dispute(_Shape):
    amount: Amount
    status: str


class PaymentError(_Shape):
    code: Text = ""
    decline_code: Text = ""
    message: Text = ""


class Intent(_Shape):
    id: Id
    status: str
    amount: Amount
    amount_received: Amount | None = None
    amount_capturable: Amount | None = None
    capture_method: str = ""
    currency: str
    metadata: Metadata = {}
    last_payment_error: PaymentError | None = None
    latest_charge: Charge | str | None = None

    @property
    def charge(self) -> Charge:
        """Empty where it was not expanded, or nothing was ever tried."""
        return self.latest_charge if isinstance(self.latest_charge, Charge) else Charge()

    @property
    def is_of_checkout(self) -> bool:
        return self.metadata.get(FLOW) == "checkout"

    @property
    def needs_session(self) -> bool:
        """Whether only the session can tell if the customer may still act."""
        return self.is_of_checkout and self.status in _WAITING


class Session(_Shape):
    id: Id
    status: str
    payment_status: str = ""
    amount_total: Amount
    currency: str
    client_reference_id: Text = ""
    payment_intent: Intent | str | None = None
    url: Text = ""

    @property
    def intent_ref(self) -> str:
        intent = self.payment_intent
        return intent.id if isinstance(intent, Intent) else intent or ""


_WAITING = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
_INTENT = {
    "processing": PaymentStatus.PROCESSING,
    "requires_capture": PaymentStatus.AUTHORISED,
    "succeeded": PaymentStatus.CAPTURED,
    "canceled": PaymentStatus.CANCELLED,
}
_REFUND = {
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}
# Not here: inquiries (warning_*) and `prevented`, which take no money. An appeal follows a loss, and is one until won.
_DISPUTE = {
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "lost": DisputeStatus.LOST,
    "appeal_needs_response": DisputeStatus.LOST,
    "appeal_under_review": DisputeStatus.LOST,
    "won": DisputeStatus.WON,
}


def intent_status(intent: Intent, session: Session | None) -> PaymentStatus:
    """Raises `ValueError` for a status that Stripe has invented since."""
    if status := _INTENT.get(intent.status):
        return status
    if intent.status not in _WAITING:
        raise ValueError(f"a PaymentIntent is {intent.status[:40]!r}")
    if session and session.status == "expired":
        return PaymentStatus.CANCELLED
    # On an open page a declined customer just takes another card: not failed before the page closes.
    is_open = session is not None and session.status == "open"
    return (
        PaymentStatus.FAILED if intent.last_payment_error and not is_open else PaymentStatus.PENDING
    )


def from_intent(
    intent: Intent, session: Session | None = None, disputes: Sequence[Dispute] = ()
) -> Snapshot:
    """The whole truth, if the intent's charge came with its refunds. Raises `ValueError`."""
    currency = intent.currency.upper()
    status = intent_status(intent, session)
    error = intent.last_payment_error if status is not PaymentStatus.CAPTURED else None
    received = intent.amount_received
    if received is None:
        received = intent.amount if status is PaymentStatus.CAPTURED else 0
    held = intent.amount_capturable
    if held is None:
        held = intent.amount if status is PaymentStatus.AUTHORISED else 0
    refunds = intent.charge.refunds.data if intent.charge.refunds else []
    dispute, disputed = _worst(disputes)
    return Snapshot(
        merchant_ref=intent.metadata.get(OUR_REF, ""),
        provider_ref=intent.id,
        former_ref=session.id if session else "",
        status=status,
        amount=from_stripe(intent.amount, currency),
        currency=currency,
        authorised=from_stripe(held, currency),
        hold_ends_at=intent.charge.hold_ends_at if status is PaymentStatus.AUTHORISED else None,
        # A card is never left processing: these are debits and the like, which take days.
        is_offline=status is PaymentStatus.PROCESSING,
        captured=from_stripe(received, currency),
        refunds=tuple(_refund(refund, currency) for refund in reversed(refunds)),
        dispute=dispute,
        disputed=from_stripe(disputed, currency),
        failure_code=(error.decline_code or error.code)[:64] if error else "",
        failure_message=error.message[:2000] if error else "",
        checkout_url=session.url if session else "",
    )


def from_session(session: Session) -> Snapshot | None:
    """What a session alone tells: before there is an intent, and once it is paid. None where the intent must be asked.

    Limit: nothing of refunds and disputes. At the moment that it speaks of there were none.
    """
    currency = session.currency.upper()
    amount = from_stripe(session.amount_total, currency)
    match session.status, session.payment_status:
        case "complete", "paid":
            status = PaymentStatus.CAPTURED
        case "open", _ if not session.intent_ref:
            status = PaymentStatus.PENDING
        case "expired", _ if not session.intent_ref:
            # Called off by us or by time: Stripe's answer is the same for both, so ours is too.
            status = PaymentStatus.CANCELLED
        case _:
            return None
    return Snapshot(
        merchant_ref=session.client_reference_id,
        provider_ref=session.intent_ref or session.id,
        former_ref=session.id,
        status=status,
        amount=amount,
        currency=currency,
        captured=amount if status is PaymentStatus.CAPTURED else 0,
        checkout_url=session.url,
    )


def _refund(refund: Refund, currency: str) -> RefundSnapshot:
    return RefundSnapshot(
        ref=refund.metadata.get(OUR_REF),
        provider_ref=refund.id,
        amount=from_stripe(refund.amount, currency),
        status=_REFUND.get(refund.status or "", RefundStatus.PENDING),
    )


def _worst(disputes: Sequence[Dispute]) -> tuple[DisputeStatus | None, int]:
    """One state for all of them: open before lost before won; and what is out of our hands."""
    by_status: dict[DisputeStatus, int] = {}
    for dispute in disputes:
        if status := _DISPUTE.get(dispute.status):
            by_status[status] = by_status.get(status, 0) + dispute.amount
    gone = by_status.get(DisputeStatus.OPEN, 0) + by_status.get(DisputeStatus.LOST, 0)
    for status in (DisputeStatus.OPEN, DisputeStatus.LOST, DisputeStatus.WON):
        if status in by_status:
            return status, gone
    return None, 0


def plain(found: Any) -> dict[str, Any]:
    """An object of the SDK as a plain dict."""
    made: dict[str, Any] = found.to_dict()
    return made
