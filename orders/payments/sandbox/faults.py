"""What can go wrong on purpose, and which faults a call or a callback meets: values and pure functions.

A fault is `{"fault": kind, …}` or just the kind. It belongs to one payment or to all. `count` is how many times it
happens; None is always. Left out, an answer's fault happens once and a callback's always.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

CallbackKind = Literal[
    "callback_lost",
    "callback_delayed",
    "callback_doubled",
    "callback_out_of_order",
    "callback_forged",
    "callback_truncated",
    "callback_garbled",
    "callback_wrong_amount",
    "callback_wrong_currency",
]
AnswerKind = Literal[
    "answer_slow",
    "answer_429",
    "answer_500",
    "answer_503",
    "answer_garbled",
    "connection_cut",
]
LaterKind = Literal["refund_later", "dispute_later"]
RefundKind = Literal["refund_pending", "refund_fails"]
Kind = Literal[CallbackKind, AnswerKind, LaterKind, RefundKind]
Call = Literal["create", "fetch", "refund", "cancel"]

CALLBACK_KINDS: tuple[str, ...] = get_args(CallbackKind)
ANSWER_KINDS: tuple[str, ...] = get_args(AnswerKind)
LATER_KINDS: tuple[str, ...] = get_args(LaterKind)
REFUND_KINDS: tuple[str, ...] = get_args(RefundKind)

LABELS = {
    "callback_lost": "Callback is lost",
    "callback_delayed": "Callback is late",
    "callback_doubled": "Callback is sent twice",
    "callback_out_of_order": "Callbacks arrive out of order",
    "callback_forged": "A forged callback arrives too",
    "callback_truncated": "Callback is truncated",
    "callback_garbled": "Callback is signed but malformed",
    "callback_wrong_amount": "Callback has the wrong amount",
    "callback_wrong_currency": "Callback has the wrong currency",
    "answer_slow": "Next response is slow",
    "answer_429": "Next call: too many requests (429)",
    "answer_500": "Next call: server error (500)",
    "answer_503": "Next call: unavailable (503)",
    "answer_garbled": "Next response is not JSON",
    "connection_cut": "Next connection is cut after the call is processed",
    "refund_later": "Refunded automatically after payment",
    "dispute_later": "Disputed automatically after payment",
    "refund_pending": "Refunds stay pending for a while",
    "refund_fails": "Refunds fail after a while",
}
# What each does, and what is seen of it.
EXPLAINED = {
    "callback_lost": "is never sent: the shop finds out at its next check of the payment",
    "callback_delayed": "is sent that many seconds later",
    "callback_doubled": "is sent twice: the second changes nothing",
    "callback_out_of_order": "an older one arrives after a newer one: the shop asks what is true",
    "callback_forged": "one with a wrong signature is sent before the true one: it is refused",
    "callback_truncated": "its body is cut in half: refused, and sent again",
    "callback_garbled": "a signed body that cannot be read: kept for staff",
    "callback_wrong_amount": "one unit too much: the order is flagged, and not paid",
    "callback_wrong_currency": "another currency: the order is flagged, and not paid",
    "answer_slow": "is held back for that many seconds",
    "answer_429": "is refused, with Retry-After",
    "answer_500": "is answered with an error",
    "answer_503": "is answered with an error, and Retry-After",
    "answer_garbled": "is answered with HTML",
    "connection_cut": "is processed, and the connection cut before the response",
    "refund_later": "that many seconds after the payment",
    "dispute_later": "that many seconds after the payment",
    "refund_pending": "until Complete the refund is pressed here",
    "refund_fails": "accepted, and failed that many seconds later",
}
# By when one sees something of them: a heading, and what belongs below it.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Callbacks of the next button pressed", CALLBACK_KINDS),
    ("The shop's next call: its next check, Check now in its admin, a refund", ANSWER_KINDS),
    ("Later, automatically", LATER_KINDS),
    ("Refunds from now on", REFUND_KINDS),
)
# Seconds that a fault of the next call waits for it, where it was set in a page: later, nobody would know why.
ARMED_FOR = 120.0
_SECONDS = {"callback_out_of_order": 30.0, "answer_slow": 3.0, "answer_429": 1.0, "answer_503": 1.0}


class Fault(BaseModel):
    """`seconds`: the delay, the slowness, or what Retry-After says. `calls`: empty means all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: Kind
    count: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=5.0, ge=0, le=864_000)
    calls: tuple[Call, ...] = ()
    amount: int | None = Field(default=None, ge=0)  # of refund_later and callback_wrong_amount
    currency: str = Field(default="XTS", pattern=r"^[A-Z]{3}$")
    with_true: bool = True  # callback_forged: the true one comes as well
    after_work: bool = False  # answer_500: the work was done all the same
    until: float | None = None  # seconds since 1970; what has not happened by then never does

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, value: Any) -> Any:
        value = {"fault": value} if isinstance(value, str) else value
        if not isinstance(value, dict):
            return value
        kind = str(value.get("fault"))
        happens = {} if kind.startswith("callback_") or kind in REFUND_KINDS else {"count": 1}
        return {**happens, "seconds": _SECONDS.get(kind, 5.0), **value}


Faults = TypeAdapter(tuple[Fault, ...])


def still_armed(faults: Sequence[Fault], now: float) -> tuple[Fault, ...]:
    """Without those whose time is over."""
    return tuple(fault for fault in faults if fault.until is None or fault.until > now)


def take(
    faults: Sequence[Fault], kinds: Sequence[str], call: str | None = None
) -> tuple[list[Fault], list[Fault]]:
    """The faults of these kinds that happen now, one of each kind, and what is left for the next time."""
    taken: dict[str, Fault] = {}
    left = []
    for fault in faults:
        hits = fault.fault in kinds and (call is None or not fault.calls or call in fault.calls)
        if not hits or fault.fault in taken:
            left.append(fault)
            continue
        taken[fault.fault] = fault
        if fault.count is None:
            left.append(fault)
        elif fault.count > 1:
            left.append(fault.model_copy(update={"count": fault.count - 1}))
    return list(taken.values()), left


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One delivery of an event. `manner`: true, forged (wrong signature), truncated, or garbled."""

    manner: str = "true"
    delay: float = 0.0
    is_held: bool = False  # waits for a later event to be delivered first, `delay` at most
    is_lost: bool = False
    changes: dict[str, Any] = field(default_factory=dict)  # written over the body's data


def copies(faults: Sequence[Fault], data: dict[str, Any]) -> list[Copy]:
    """What is really sent for one event whose payment is `data`."""
    by_kind = {fault.fault: fault for fault in faults}
    forged = by_kind.get("callback_forged")
    extra = [Copy(manner="forged")] if forged else []
    if forged and not forged.with_true:
        return extra
    held, delayed = by_kind.get("callback_out_of_order"), by_kind.get("callback_delayed")
    manner = "truncated" if "callback_truncated" in by_kind else "true"
    true = Copy(
        manner="garbled" if "callback_garbled" in by_kind else manner,
        delay=max(fault.seconds for fault in (held, delayed) if fault) if held or delayed else 0.0,
        is_held=held is not None,
        is_lost="callback_lost" in by_kind,
        changes=_changes(by_kind, data),
    )
    return extra + [true] * (2 if "callback_doubled" in by_kind else 1)


def _changes(by_kind: dict[Any, Fault], data: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if wrong := by_kind.get("callback_wrong_amount"):
        amount = data["amount"] + 1 if wrong.amount is None else wrong.amount
        moved = {name: amount for name in ("authorised", "captured") if data[name]}
        changes |= {"amount": amount, **moved}
    if wrong := by_kind.get("callback_wrong_currency"):
        changes["currency"] = wrong.currency
    return changes


class Script(BaseModel):
    """What an order may ask for in `metadata["sandbox"]`.

    `outcome` is how a confirmed payment ends; without `confirm` it happens by itself after `settle_after` seconds.
    "processing" ends as `then` after `settle_after` seconds. `slow` delays the answer to the create call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    faults: tuple[Fault, ...] = ()
    outcome: Literal["paid", "declined", "processing", "authorised"] | None = None
    then: Literal["paid", "declined"] = "paid"
    settle_after: float = Field(default=2.0, ge=0, le=864_000)
    slow: float = Field(default=0.0, ge=0, le=600)

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        if not self.slow:
            return self.faults
        return (*self.faults, Fault(fault="answer_slow", seconds=self.slow, calls=("create",)))
