"""What an order page shows, made from one reading of the order's stream.

The browser goes on from the very version that is shown here, by the same words and the same rules
(`static/realtime/order-page.js`), so nothing here uses more of an event than its frame carries.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from orders import clock
from orders.domain import money
from orders.domain.events import EventRecord
from orders.domain.states import CLOSED_UNPAID, MOVES, UNPAID
from orders.journal import queries
from orders.models import Order
from realtime.pages import refund_lines, texts

_AMOUNTS = ("captured", "refunded", "disputed")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the timeline."""

    version: int
    title: texts.Text
    detail: texts.Text
    is_reason: bool  # the detail says why; otherwise it is an amount
    tone: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Step:
    label: texts.Text
    number: int
    status: str  # done, now, problem or ahead


@dataclass(frozen=True, kw_only=True)
class RefundLine:
    amount: int
    written: str
    state: str  # sent, done or failed
    says: texts.Text
    at: datetime


@dataclass(frozen=True, kw_only=True)
class OrderView:
    """One order at one version. Amounts are already written out; `timeline` is newest first."""

    ref: str
    epoch: str
    version: int
    state: str
    title: str
    says: texts.StateWords
    total: str
    amounts: dict[str, str]  # those that are not nothing
    is_reviewed: bool
    is_cancelling: bool
    steps: list[Step]
    timeline: list[Entry]
    refunds: list[RefundLine]
    pay_until: datetime | None
    is_overdue: bool
    pay_left: int | None  # ms until then; None once there is nothing to pay
    currency: str

    @property
    def action_text(self) -> texts.Text:
        return texts.ACTIONS.get(self.says.action, "")

    def for_browser(self) -> dict[str, Any]:
        """What the page's script needs in order to go on from here."""
        return {
            "order": self.ref,
            "cursor": {"epoch": self.epoch, "version": self.version},
            "state": self.state,
            "is_cancelling": self.is_cancelling,
            "is_overdue": self.is_overdue,
            "pay_left": self.pay_left,
            "refunded": [
                {"amount": each.amount, "state": each.state, "at": each.at} for each in self.refunds
            ],
            "money": asdict(money.spelling(self.currency)),
            **texts.for_browser(),
        }


def of(order: Order) -> OrderView:
    """The order as the journal tells it now; what never changes is taken from the row."""
    epoch, stream = read(order.ref)
    spelled = money.spelling(stream.facts["currency"])
    is_cancelling = is_being_cancelled(stream.events)
    now, is_open = clock.now(), stream.state in MOVES["expire"].sources
    is_overdue = order.is_past_deadline(now)
    key = shown_as(stream.state, stream.facts, is_cancelling=is_cancelling, is_overdue=is_overdue)
    says = texts.SHOWN[key]
    return OrderView(
        ref=order.ref,
        epoch=epoch,
        version=stream.version,
        state=stream.state,
        title=title_of(order),
        says=says,
        total=spelled.write(stream.facts["total"]),
        amounts={n: spelled.write(stream.facts[n]) if stream.facts[n] else "" for n in _AMOUNTS},
        is_reviewed=stream.facts["needs_review"],
        is_cancelling=is_cancelling,
        steps=_steps(says),
        timeline=timeline(stream.events, spelled),
        refunds=_refund_lines(stream.events, spelled),
        pay_until=order.expires_at,
        is_overdue=is_overdue,
        pay_left=_milliseconds(order.expires_at - now) if is_open and order.expires_at else None,
        currency=stream.facts["currency"],
    )


def _milliseconds(left: timedelta) -> int:
    return max(0, round(left.total_seconds() * 1000))


def read(ref: str) -> tuple[str, queries.Stream]:
    """The journal's epoch, and the order's stream with as much of its history as a page shows: the end of it."""
    reading = queries.read_streams({ref: 0})
    if reading.streams[ref].is_cut:
        reading = queries.read_streams({ref: reading.streams[ref].version - queries.TAIL_LIMIT})
    return reading.epoch, reading.streams[ref]


def shown_as(
    state: str, facts: Mapping[str, Any], *, is_cancelling: bool, is_overdue: bool = False
) -> str:
    """The key into `texts.SHOWN`: the state, unless something about it concerns the customer more.

    `is_overdue`: the time to pay is over, and the order has not expired yet.
    """
    if is_cancelling:
        return texts.CANCELLING
    if is_overdue and state in MOVES["expire"].sources:
        return texts.OVERDUE
    if state in CLOSED_UNPAID and facts["captured"]:
        return texts.RETURNED if facts["refunded"] >= facts["captured"] else texts.LATE
    return state


def title_of(order: Order) -> str:
    """What the shop called the order, if it did."""
    title = order.metadata.get("title")
    return title[:120] if isinstance(title, str) else ""


def is_being_cancelled(events: Iterable[EventRecord]) -> bool:
    """Whether a cancellation is wished for and not yet settled one way or the other."""
    wished = False
    for event in events:
        wished = (wished or event.type == "order.cancellation_requested") and event.state in UNPAID
    return wished


def timeline(events: Iterable[EventRecord], spelled: money.Spelling) -> list[Entry]:
    """The events that concern the customer, newest first."""
    return [
        Entry(
            version=event.version,
            title=says.title,
            detail=_detail(says.detail, event.public_data, spelled),
            is_reason=says.detail == "code",
            tone=says.tone,
            at=event.at,
        )
        for event in sorted(events, key=lambda e: -e.version)
        if (says := texts.EVENTS.get(event.type))
    ]


def _detail(name: str, data: dict[str, Any], spelled: money.Spelling) -> texts.Text:
    if name == "code":
        return texts.FAILURES.get(data.get("code", ""), "")
    return spelled.write(data[name]) if name in data else ""


def _refund_lines(events: Sequence[EventRecord], spelled: money.Spelling) -> list[RefundLine]:
    return [
        RefundLine(
            amount=refund.amount,
            written=spelled.write(refund.amount),
            state=refund.state,
            says=texts.REFUNDS[refund.state],
            at=refund.at,
        )
        for refund in refund_lines.of(events)
    ]


def _steps(says: texts.StateWords) -> list[Step]:
    def status(number: int) -> str:
        if number == says.step:
            return "problem" if says.tone == "bad" else "now"
        return "done" if number < says.step else "ahead"

    return [Step(label=text, number=n, status=status(n)) for n, text in enumerate(texts.STEPS, 1)]
