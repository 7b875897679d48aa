"""What can be said of an order: the values that `explain` finds, and that the API, the admin and `why` show."""

from dataclasses import dataclass
from datetime import datetime

from orders.support import labels
from orders.support.labels import Text


@dataclass(frozen=True, kw_only=True)
class LastLook:
    """`found` is the code in the log, `words` the same for people."""

    at: datetime
    source: str
    actor: str
    found: str
    words: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class NextLook:
    """`at` is None where none is planned. Step `step` of `steps` of the profile comes then."""

    at: datetime | None
    profile: str
    step: int
    steps: int
    words: str


@dataclass(frozen=True, kw_only=True)
class PaymentStory:
    ref: str
    provider: str
    provider_ref: str
    status: str
    captured: int
    refunded: int
    refunded_elsewhere: int  # of `refunded`: not asked for here, so in the provider's own console
    changed_at: datetime
    last_look: LastLook | None
    next_look: NextLook


@dataclass(frozen=True, kw_only=True)
class StandingFlag:
    """A flag that nobody has cleared yet."""

    reason: str
    detail: str
    at: datetime

    @property
    def label(self) -> Text:
        return labels.flag(self.reason)


@dataclass(frozen=True, kw_only=True)
class ReceiptStory:
    received_at: datetime
    kind: str
    outcome: str
    detail: str
    deliveries: int
    needs_review: bool


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """`since`, `said_by` and `event`: the newest event that moved the order. `why` is one paragraph."""

    ref: str
    state: str
    since: datetime
    event: str
    source: str
    actor: str
    said_by: str
    flags: tuple[StandingFlag, ...]
    payments: tuple[PaymentStory, ...]
    receipts: tuple[ReceiptStory, ...]
    why: str
