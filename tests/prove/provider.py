"""A model of a payment provider, in this process: the truth that every order has to end at.

It knows nothing of our code but the protocol. What it is asked to do it may refuse, or do and lose the answer; what it
tells by callback waits in `told` until somebody delivers it, and nobody has to. `step` is called at each border that a
call crosses, so that a test can crash us there.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import datetime
from threading import RLock
from typing import Any

from orders.payments.base import (
    Ack,
    AckOutcome,
    AmbiguousOutcome,
    BadSignature,
    CancelPayment,
    Capabilities,
    CreatePayment,
    DisputeStatus,
    Listed,
    NotFound,
    PaymentStatus,
    Provider,
    ProviderEvent,
    RateLimited,
    RefundPayment,
    RefundSnapshot,
    RefundStatus,
    RequestRefused,
    Snapshot,
    Unavailable,
)

SECRET = b"the model's secret"
ENDED = {"cancelled", "expired", "captured"}


@dataclass
class Refund:
    ref: str | None
    amount: int
    status: str = "succeeded"


@dataclass
class Account:
    """One payment as the provider keeps it."""

    merchant_ref: str
    provider_ref: str
    amount: int
    currency: str
    status: str = "pending"
    captured: int = 0
    refunds: list[Refund] = field(default_factory=list)
    dispute: str = ""

    @property
    def refunded(self) -> int:
        return sum(r.amount for r in self.refunds if r.status == "succeeded")

    @property
    def refundable(self) -> int:
        return self.captured - sum(r.amount for r in self.refunds if r.status != "failed")


@dataclass
class World:
    """Everything that the provider knows, and what it is going to do wrong next."""

    accounts: dict[str, Account] = field(default_factory=dict)
    told: list[tuple[str, bytes]] = field(default_factory=list)  # (event id, body), oldest first
    faults: list[str] = field(default_factory=list)  # for the next calls, one each
    calls: int = 0
    step: Callable[[], None] = lambda: None
    lock: RLock = field(default_factory=RLock)

    def tell(self, account: Account) -> None:
        body = json.dumps(asdict(account)).encode()
        self.told.append((f"evt_{len(self.told)}_{account.provider_ref}", body))

    # What customers, banks and the provider's own staff do. Each is a no-op where it makes no sense.

    def possible(self) -> list[tuple[str, str]]:
        """Each (payment, action) that would change something now, in a fixed order."""
        return [
            (ref, action)
            for ref, account in self.accounts.items()
            for action in ACTIONS
            if _would_change(account, action)
        ]

    def act(self, ref: str, action: str) -> None:
        with self.lock:
            account = self.accounts[ref]
            before = asdict(account)
            _ACTIONS[action](account)
            if asdict(account) != before:
                self.tell(account)


def _set(*sources: str, to: str) -> Callable[[Account], None]:
    def act(account: Account) -> None:
        if account.status in sources:
            account.status = to

    return act


def _pay(account: Account, share: int = 1) -> None:
    if account.status not in ENDED:
        account.status, account.captured = "captured", account.amount // share


def _refund_some(account: Account) -> None:
    if account.refundable > 0 and account.dispute not in {"open", "lost"}:
        account.refunds.append(Refund(None, (account.refundable + 1) // 2))


def _end_refund(account: Account, *sources: str, to: str) -> None:
    for refund in account.refunds:
        if refund.status in sources:
            refund.status = to
            return


def _dispute(account: Account, source: str, to: str) -> None:
    if account.captured > account.refunded and account.dispute == source:
        account.dispute = to


_ACTIONS: dict[str, Callable[[Account], None]] = {
    "process": _set("pending", "failed", to="processing"),
    "authorise": _set("pending", "processing", "failed", to="authorised"),
    "pay": _pay,
    "pay_half": lambda account: _pay(account, 2),
    "decline": _set("pending", "processing", "authorised", to="failed"),
    "call_off": _set("pending", "processing", "authorised", "failed", to="cancelled"),
    "run_out": _set("pending", "failed", to="expired"),
    "refund": _refund_some,
    "settle_refund": lambda account: _end_refund(account, "pending", to="succeeded"),
    "fail_refund": lambda account: _end_refund(account, "pending", "succeeded", to="failed"),
    "dispute": lambda account: _dispute(account, "", "open"),
    "win_dispute": lambda account: _dispute(account, "open", "won"),
    "lose_dispute": lambda account: _dispute(account, "open", "lost"),
}
ACTIONS = sorted(_ACTIONS)


def _would_change(account: Account, action: str) -> bool:
    trial = deepcopy(account)
    _ACTIONS[action](trial)
    return trial != account


BEFORE_WORK = {
    "unavailable": Unavailable,
    "rate_limited": RateLimited,
    "cut_before": AmbiguousOutcome,
}
FAULTS = [*sorted(BEFORE_WORK), "cut_after"]

WORLD = World()


class Model(Provider):
    """The provider `model` of this process's `WORLD`."""

    # ruff: noqa: ARG002 — the protocol's arguments, of which this one needs few

    name = "model"
    capabilities = Capabilities(synchronous=True, refund=True, partial_refund=True)

    def create(self, request: CreatePayment) -> Snapshot:
        def work() -> Account:
            known = WORLD.accounts.get(request.merchant_ref)
            if known is not None:
                return known
            ref = request.merchant_ref
            account = Account(ref, f"pay_{ref}", request.amount, request.currency)
            WORLD.accounts[ref] = account
            if request.confirm:
                _pay(account)
            WORLD.tell(account)
            return account

        return _served(work)

    def fetch(self, merchant_ref: str, provider_ref: str | None) -> Snapshot:
        return _served(lambda: _found(merchant_ref), is_read=True)

    def refund(self, request: RefundPayment) -> Snapshot:
        def work() -> Account:
            account = _found(request.merchant_ref)
            if request.ref in {r.ref for r in account.refunds}:
                return account
            if request.amount > account.refundable or account.dispute in {"open", "lost"}:
                raise RequestRefused("not possible", code="not_possible")
            account.refunds.append(Refund(request.ref, request.amount, "pending"))
            WORLD.tell(account)
            return account

        return _served(work)

    def cancel(self, request: CancelPayment) -> Snapshot:
        def work() -> Account:
            account = _found(request.merchant_ref)
            if account.status in {"captured", "expired"}:
                raise RequestRefused(f"it is {account.status}", code="not_possible")
            WORLD.act(account.merchant_ref, "call_off")
            return account

        return _served(work)

    def list_payments(self, created_after: datetime, cursor: str = "") -> Listed:
        accounts = list(WORLD.accounts.values())
        start = int(cursor or 0)
        more = str(start + 2) if start + 2 < len(accounts) else ""
        return Listed(payments=tuple(map(seen, accounts[start : start + 2])), next_cursor=more)

    def parse_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderEvent]:
        if headers.get("X-Signature") != sign(body):
            raise BadSignature("forged")
        told = json.loads(body)
        told["refunds"] = [Refund(**refund) for refund in told["refunds"]]
        event_id = str(headers["X-Event"])
        return [ProviderEvent(event_id=event_id, kind="told", snapshot=seen(Account(**told)))]

    def ack(self, outcome: AckOutcome) -> Ack:
        statuses = {AckOutcome.ACCEPTED: 200, AckOutcome.TRY_AGAIN: 503}
        return Ack(status=statuses.get(outcome, 400))


def sign(body: bytes) -> str:
    return hashlib.sha256(SECRET + body).hexdigest()


def _found(merchant_ref: str) -> Account:
    account = WORLD.accounts.get(merchant_ref)
    if account is None:
        raise NotFound(f"there is no payment {merchant_ref}")
    return account


def _served(work: Callable[[], Account], *, is_read: bool = False) -> Snapshot:
    WORLD.step()
    with WORLD.lock:
        WORLD.calls += 1
        fault = WORLD.faults.pop(0) if WORLD.faults else ""
        if fault in BEFORE_WORK:
            raise (Unavailable if is_read else BEFORE_WORK[fault])(fault)
        answer = seen(work())
    WORLD.step()
    if fault:
        raise (Unavailable if is_read else AmbiguousOutcome)(fault)
    return answer


def seen(account: Account) -> Snapshot:
    """The account in neutral terms."""
    refunds = tuple(
        RefundSnapshot(
            ref=r.ref,
            provider_ref=f"re_{account.provider_ref}_{n}",
            amount=r.amount,
            status=RefundStatus(r.status),
        )
        for n, r in enumerate(account.refunds)
    )
    fields: dict[str, Any] = {
        "merchant_ref": account.merchant_ref,
        "provider_ref": account.provider_ref,
        "amount": account.amount,
        "currency": account.currency,
        "captured": account.captured,
    }
    return Snapshot(
        status=PaymentStatus(account.status),
        authorised=account.amount if account.status == "authorised" else 0,
        refunds=refunds,
        dispute=DisputeStatus(account.dispute) if account.dispute else None,
        disputed=account.captured - account.refunded if account.dispute in {"open", "lost"} else 0,
        checkout_url="http://127.0.0.1/checkout",
        **fields,
    )
