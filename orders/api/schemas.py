"""What the API takes and gives."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import AfterValidator, JsonValue, StringConstraints

from orders.access.tokens import GRANT_LIFETIME, MAX_LIFETIME

MAX_AMOUNT = (
    10**15
)  # minor units: more than any order, less than a 64-bit integer or a double's exact range
MAX_METADATA = 8_192  # characters of JSON
MAX_DEPTH = 8


def _storable(value: Any, depth: int = 0) -> Any:
    """Refuse what PostgreSQL's jsonb cannot hold, and nesting that only an attacker sends."""
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, str) and (
        "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value)
    ):
        raise ValueError("has a NUL or a lone surrogate in a text")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("has a number that JSON does not allow (NaN or Infinity)")
    if isinstance(value, dict):
        for key, inner in value.items():
            _storable(key, depth + 1)
            _storable(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _storable(inner, depth + 1)
    return value


def _small(value: dict[str, Any]) -> dict[str, Any]:
    if len(repr(value)) > MAX_METADATA:
        raise ValueError(f"is longer than {MAX_METADATA} characters")
    return value


Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_storable)]
ReturnUrl = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s\x00-\x20\x7f]{1,1900}$"),
    AfterValidator(_storable),
]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_storable), AfterValidator(_small)]


class OrderIn(Schema, extra="forbid"):
    amount: int = Field(
        gt=0, le=MAX_AMOUNT, strict=True, description="In minor units: €12.50 is 1250."
    )
    currency: Currency = Field(description="ISO 4217, upper case.", examples=["EUR"])
    metadata: Metadata = Field(default_factory=dict)
    customer: int | None = Field(None, gt=0, le=2**31 - 1, description="The id of a Django user.")
    expires_in: int | None = Field(
        None, ge=60, le=366 * 86_400, description="Seconds until it expires unpaid."
    )


class PaymentIn(Schema, extra="forbid"):
    mode: Literal["callback", "sync"] = "callback"
    provider: Annotated[str, StringConstraints(pattern="^[a-z0-9_]{1,32}$")] | None = None
    return_url: ReturnUrl | None = None


class ReasonIn(Schema, extra="forbid"):
    reason: Text = ""


class GrantIn(Schema, extra="forbid"):
    lifetime: int = Field(
        int(GRANT_LIFETIME.total_seconds()),
        ge=60,
        le=int(MAX_LIFETIME.total_seconds()),
        strict=True,
        description="Seconds.",
    )


class RefundIn(Schema, extra="forbid"):
    amount: int | None = Field(
        None, gt=0, le=MAX_AMOUNT, strict=True, description="Left out: all that is left to refund."
    )
    reason: Text = ""


class PaymentOut(Schema):
    ref: str
    provider: str
    mode: str
    status: str
    amount: int
    currency: str
    captured: int
    refunded: int
    failure_code: str
    checkout_url: str = Field(description="Empty once the order can no longer be paid.")
    created_at: datetime
    last_checked_at: datetime | None
    next_check_at: datetime | None


class OrderOut(Schema):
    ref: str
    state: str
    version: int
    epoch: str
    total: int
    currency: str
    captured: int
    refunded: int
    disputed: int
    needs_review: bool
    flags: list[str]
    is_cancelling: bool
    is_payable: bool = Field(
        description="Whether a payment can be begun now: not past `expires_at`."
    )
    metadata: dict[str, Any]
    created_at: datetime
    changed_at: datetime
    expires_at: datetime | None
    payments: list[PaymentOut]


class OrderStateOut(Schema):
    """What a write answers to credentials that may not read the order: where it has got to, and nothing else."""

    ref: str
    state: str
    version: int
    epoch: str
    is_cancelling: bool


class NewOrderOut(OrderOut):
    grant: str = Field(description="Lets its bearer see this order, and no other.")
    page: str = Field(description="The order's live page, with the grant.")


class GrantOut(Schema):
    grant: str = Field(description="Lets its bearer see this order, and no other.")
    page: str = Field(description="The order's live page, with the grant.")
    expires_at: datetime


class EventOut(Schema):
    version: int
    id: str
    event: str
    state: str
    data: dict[str, Any]
    source: str
    at: datetime


class EventsOut(Schema):
    order: str
    epoch: str
    version: int = Field(description="The head of the stream when it was read.")
    events: list[EventOut]
    has_more: bool


class RefundOut(Schema):
    ref: str
    payment: str
    amount: int
    status: str
    order: OrderOut | OrderStateOut


class StartedOut(Schema):
    payment: PaymentOut
    order: OrderOut | OrderStateOut


class RefreshedOut(Schema):
    payment: str
    found: str
    detail: str
    state: str


class RefreshOut(Schema):
    results: list[RefreshedOut]
    order: OrderOut | OrderStateOut


class Problem(Schema):
    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
