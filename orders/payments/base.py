"""What every payment provider looks like from here: values in and out, and errors that carry the next step.

A provider is one file in this package and one line in the registry. It holds no models and never opens a
transaction. All amounts are integers in the currency's minor unit (JPY has none, so ¥500 is 500).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable


class PaymentStatus(StrEnum):
    """A payment's own state, in neutral terms; each provider translates its words into these."""

    PENDING = "pending"  # exists there; the customer has not acted yet
    PROCESSING = "processing"  # the customer has acted; the outcome is open
    AUTHORISED = "authorised"  # money is held, not taken
    CAPTURED = "captured"  # money is taken (`captured` says how much)
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class RefundStatus(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class DisputeStatus(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class RefundSnapshot:
    """One refund as the provider sees it. `ref` is ours, and is None for one made in the provider's own console."""

    ref: str | None
    provider_ref: str
    amount: int
    status: RefundStatus


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The whole truth about one payment as a provider tells it at one moment. Absolute values, never differences."""

    merchant_ref: str
    provider_ref: str
    status: PaymentStatus
    amount: int
    currency: str
    authorised: int = 0
    captured: int = 0
    refunds: tuple[RefundSnapshot, ...] = ()
    disputed: int = 0
    dispute: DisputeStatus | None = None
    failure_code: str = ""
    failure_message: str = ""
    checkout_url: str = ""
    is_offline: bool = False  # bank debit, cash at a till: settles in days
    hold_ends_at: datetime | None = None  # when held money falls back, where the provider says
    # Where a provider renames a payment: its name before. The same as `provider_ref` while the new name is to come.
    former_ref: str = field(default="", compare=False)
    raw: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def refunded(self) -> int:
        """What has really gone back: the refunds that succeeded."""
        return sum(r.amount for r in self.refunds if r.status is RefundStatus.SUCCEEDED)

    @property
    def is_to_be_renamed(self) -> bool:
        return bool(self.former_ref) and self.former_ref == self.provider_ref

    def may_be(self, known_ref: str) -> bool:
        """Whether it can be the payment that we know by this name of the provider's; "" is none yet."""
        if not known_ref or not self.provider_ref or self.is_to_be_renamed:
            return True
        return known_ref in {self.provider_ref, self.former_ref}

    def name_after(self, known_ref: str) -> str:
        """The provider's name for it from now on: one that was to change does not come back over what it became."""
        return known_ref if known_ref and self.is_to_be_renamed else self.provider_ref or known_ref


@dataclass(frozen=True, kw_only=True)
class ProviderEvent:
    """One item of a callback. `event_id` is the provider's; a hash of the body where it sends none.

    Where the message does not tell the payment's whole state, `snapshot` is None: the provider is asked instead. Then
    at least one of the references says which payment it is about; with a snapshot they are the snapshot's own.
    `may_be_foreign`: the message does not tell whether the payment is ours or another program's in the same account.
    One that matches no payment here is then let pass without a review.
    """

    event_id: str
    kind: str
    snapshot: Snapshot | None = None
    merchant_ref: str = ""
    provider_ref: str = ""
    occurred_at: datetime | None = None
    may_be_foreign: bool = False

    def __post_init__(self) -> None:
        if self.snapshot is not None:
            object.__setattr__(self, "merchant_ref", self.snapshot.merchant_ref)
            object.__setattr__(self, "provider_ref", self.snapshot.provider_ref)
        elif not (self.merchant_ref or self.provider_ref):
            raise ValueError("an event without a snapshot must say which payment it is about")


@dataclass(frozen=True, kw_only=True)
class CreatePayment:
    """Ask for a payment. `merchant_ref` is our reference and the idempotency key of the call.

    With `confirm` the provider charges at once and answers with the result (the synchronous way); without it,
    the answer carries a checkout address and the result comes by callback.
    """

    merchant_ref: str
    amount: int
    currency: str
    return_url: str
    callback_url: str
    confirm: bool = False
    description: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RefundPayment:
    """Give `amount` back. `ref` is our reference and the idempotency key of the call."""

    ref: str
    merchant_ref: str
    provider_ref: str
    amount: int
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class CancelPayment:
    """Call the payment off. Harmless when repeated."""

    merchant_ref: str
    provider_ref: str


class AckOutcome(StrEnum):
    """What we can say to a callback."""

    ACCEPTED = "accepted"  # committed (also: seen before)
    BAD_SIGNATURE = "bad_signature"
    MALFORMED = "malformed"
    TRY_AGAIN = "try_again"  # we could not commit: send it again later


@dataclass(frozen=True, kw_only=True)
class Ack:
    """The answer to a callback. Some providers demand an exact body, so it is the provider's to give.

    A refusal without a body is told as problem+json.
    """

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a provider may lack. What it cannot do is refused before anything is written down."""

    synchronous: bool = False  # can confirm within the create call
    refund: bool = False
    partial_refund: bool = False


@runtime_checkable
class Provider(Protocol):
    """A payment provider. Methods are synchronous, bounded by the provider's timeout, and safe from any thread.

    Every method that talks to the provider raises a `ProviderError` that says what to do next, and nothing else.
    """

    name: str
    capabilities: Capabilities
    max_callback: int = 256 * 1024  # bytes of a callback; most are a few KB
    # Of checkout addresses: a payment app's too, where the provider gives those. Of any other they are dropped.
    checkout_schemes: frozenset[str] = frozenset({"https", "http"})

    def create(self, request: CreatePayment) -> Snapshot: ...

    def fetch(self, merchant_ref: str, provider_ref: str | None) -> Snapshot: ...

    def refund(self, request: RefundPayment) -> Snapshot: ...

    def cancel(self, request: CancelPayment) -> Snapshot: ...

    def parse_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderEvent]: ...

    def ack(self, outcome: AckOutcome) -> Ack: ...


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A page of a provider's own list. `next_cursor` is what to ask the next one with, "" at the end."""

    payments: tuple[Snapshot, ...]
    next_cursor: str = ""


@runtime_checkable
class Lists(Protocol):
    """What a provider may offer besides: its own list, so that once a night both can be compared."""

    def list_payments(self, created_after: datetime, cursor: str = "") -> Listed:
        """A page of what was created after that instant, in the provider's own order. A snapshot may lack details."""
        ...


@runtime_checkable
class Rereads(Protocol):
    """What a provider may offer besides: to read a body that was stored, so that it can be processed again."""

    def reread(self, body: bytes, event_id: str) -> ProviderEvent | None:
        """The item of that id, without its signature, which was verified when it came. Raises `Malformed`."""
        ...


class ProviderError(Exception):
    """A provider did not do what was asked; the subclass says what to do next."""


class BadSignature(ProviderError):
    """The callback is not from the provider, or was changed on the way: refuse it and change nothing."""


class Malformed(ProviderError):
    """The message is signed but makes no sense: refuse it, store it for review, and ask the provider instead."""


class NotFound(ProviderError):
    """The provider does not know the payment. That is not "failed": a lost create call looks the same."""


class RequestRefused(ProviderError):
    """The provider understood and said no; the same request again gets the same answer."""

    def __init__(self, message: str, *, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class RateLimited(ProviderError):
    """Too many requests: ask again after `retry_after` seconds, if it said. Does not use up an attempt."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ProviderError):
    """The provider did not take the request: ask again later. Does not use up an attempt."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AmbiguousOutcome(ProviderError):
    """The request was sent and no answer came: it may or may not have been done. Fetch, or repeat with the same key."""
