"""What the sandbox does when it is asked: each method is one transaction over the store.

An act and the callbacks that tell of it are written together, so a kill in between loses neither.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from orders.payments.sandbox import payments as moves
from orders.payments.sandbox.dialects import Dialect, Told
from orders.payments.sandbox.faults import (
    CALLBACK_KINDS,
    LATER_KINDS,
    REFUND_KINDS,
    Copy,
    Fault,
    Script,
    copies,
    still_armed,
    take,
)
from orders.payments.sandbox.payments import NotPossible, Payment, instant, new_ref
from orders.payments.sandbox.store import GLOBAL, Delivery, Job, Store

OUTCOMES = {
    "paid": "pay",
    "declined": "decline",
    "processing": "process",
    "authorised": "authorise",
}
DISPUTED_BY_ITSELF = {"refund_later": "refund", "dispute_later": "dispute"}


class Happened(NamedTuple):
    """A fault that was spent, or a part of it. `call` is the shop's, for those that meet one."""

    at: float  # seconds since 1970
    merchant_ref: str
    fault: str
    call: str | None


class Desk:
    """`wake` is called after anything that gives the courier work."""

    def __init__(
        self,
        store: Store,
        public_url: str,
        dialects: Sequence[Dialect],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self._dialects = {dialect.name: dialect for dialect in dialects}
        self.public_url = public_url.rstrip("/")
        self.wake = wake
        self.happened: deque[Happened] = deque(maxlen=200)  # since this process began

    def view(self, payment: Payment) -> dict[str, Any]:
        """The payment as the API and the callbacks show it."""
        return {**payment.dump(), "checkout_url": self.checkout_url(payment)}

    def checkout_url(self, payment: Payment) -> str:
        return f"{self.public_url}/checkout/{payment.provider_ref}"

    def find(self, ref: str) -> Payment:
        payment = self.store.payment(ref)
        if payment is None:
            raise NotPossible(f"there is no payment {ref!r}", code="not_found", status=404)
        return payment

    def create(self, payment: Payment, script: Script, *, confirm: bool) -> Payment:
        with self.store.transaction():
            if self.store.payment(payment.merchant_ref) is not None:
                text = f"merchant_ref {payment.merchant_ref!r} was used before"
                raise NotPossible(text, code="merchant_ref_used")
            self.store.save(payment)
            if confirm:
                payment = self.act(payment.provider_ref, OUTCOMES[script.outcome or "paid"])
            elif script.outcome:
                self._later(payment, OUTCOMES[script.outcome], script.settle_after)
            if script.outcome == "processing":
                twice = 1 if confirm else 2
                self._later(payment, OUTCOMES[script.then], script.settle_after * twice)
        return payment

    def act(self, ref: str, action: str, amount: int | None = None) -> Payment:
        """Do `action` and tell of it. Raises `NotPossible`."""
        with self.store.transaction():
            payment = self.find(ref)
            if action == "pay" and payment.status == "pending" and self._is_out_of_order(payment):
                # One event alone cannot be out of order: let the older one be overtaken.
                self._done(payment, moves.process(payment))
            if action == "refund":
                return self.refund(ref, amount, our_ref=None)
            if action not in moves.ACTS:
                raise NotPossible(
                    f"there is no action {action!r}", code="unknown_action", status=422
                )
            self._done(payment, moves.ACTS[action](payment))
            if payment.status == "captured" and action in ("pay", "capture"):
                for fault in self.take(payment.merchant_ref, LATER_KINDS):
                    action_later = DISPUTED_BY_ITSELF[fault.fault]
                    self._later(payment, action_later, fault.seconds, fault.amount)
        return payment

    def refund(
        self, ref: str, amount: int | None, *, our_ref: str | None, reason: str = ""
    ) -> Payment:
        with self.store.transaction():
            payment = self.find(ref)
            known = {refund.ref for refund in payment.refunds} - {None}
            if our_ref in known:
                raise NotPossible(f"refund ref {our_ref!r} was used before", code="refund_ref_used")
            slow = self.take(payment.merchant_ref, REFUND_KINDS)
            told = moves.refund(payment, amount, ref=our_ref, reason=reason, pending=bool(slow))
            self._done(payment, told)
            for fault in slow[:1]:
                action = "fail_refund" if fault.fault == "refund_fails" else "settle_refund"
                self._later(payment, action, fault.seconds)
        return payment

    def run_job(self, job: Job) -> None:
        """Let what was scheduled happen; if the payment has moved on meanwhile, it does not."""
        with self.store.transaction():
            self.store.drop_job(job.id)
            try:
                self.act(job.payment, job.action, job.amount)
            except NotPossible:
                return

    # faults

    def faults(self, subject: str) -> tuple[Fault, ...]:
        """Those that can still happen."""
        return still_armed(self.store.faults(subject) or (), time.time())

    def adopt(self, merchant_ref: str, faults: Sequence[Fault]) -> None:
        """Give a payment the faults of its metadata, once: a repeated create call does not renew what is used up."""
        if faults and self.store.faults(merchant_ref) is None:
            self.store.set_faults(merchant_ref, faults)

    def take(self, merchant_ref: str, kinds: Sequence[str], call: str | None = None) -> list[Fault]:
        """The faults that happen now; the payment's own stand before the global ones."""
        happening: list[Fault] = []
        with self.store.transaction():
            for subject in (merchant_ref, GLOBAL):
                open_kinds = [k for k in kinds if k not in {fault.fault for fault in happening}]
                before = self.faults(subject)
                taken, left = take(before, open_kinds, call)
                if tuple(left) != before:
                    self.store.set_faults(subject, left)
                happening += taken
        at = time.time()
        self.happened.extend(Happened(at, merchant_ref, fault.fault, call) for fault in happening)
        return happening

    # callbacks

    def send(
        self, payment: Payment, event_type: str, body: bytes, copy: Copy, *,
        event_id: str, is_once: bool = False,
    ) -> None:  # fmt: skip
        now = time.time()
        delivery = Delivery(
            payment=payment.provider_ref,
            event_id=event_id,
            type=event_type,
            url=payment.callback_url,
            body=body,
            manner=copy.manner,
            is_once=is_once,
            is_held=copy.is_held,
            state="lost" if copy.is_lost or not payment.callback_url else "pending",
            created_at=now,
            due_at=now + copy.delay,
        )
        self.store.add_delivery(delivery)
        self.wake()

    def body(self, payment: Payment, told: Told, changes: dict[str, Any]) -> bytes:
        dialect = self._dialects[payment.dialect]
        return dialect.body(payment, told, self.checkout_url(payment), changes)

    def dialect_of(self, delivery: Delivery) -> Dialect:
        """In which a delivery is signed, and its answer understood."""
        return self._dialects[self.find(delivery.payment).dialect]

    def _done(self, payment: Payment, event_type: str | None) -> None:
        """Save, and tell of it as the faults will have it."""
        payment.updated_at = instant()
        self.store.save(payment)
        if event_type is None:
            return
        faults = self.take(payment.merchant_ref, CALLBACK_KINDS)
        for name in self._dialects[payment.dialect].tells(payment, event_type):
            self._tell(payment, Told(new_ref("evt"), name), faults)

    def _tell(self, payment: Payment, told: Told, faults: Sequence[Fault]) -> None:
        for copy in copies(faults, self.view(payment)):
            # A forger does not know the true event's id, and does not come back.
            is_forged = copy.manner == "forged"
            said = replace(told, event_id=new_ref("evt")) if is_forged else told
            self.send(
                payment,
                said.type,
                self.body(payment, said, copy.changes),
                copy,
                event_id=said.event_id,
                is_once=is_forged,
            )

    def _is_out_of_order(self, payment: Payment) -> bool:
        both = (*self.faults(payment.merchant_ref), *self.faults(GLOBAL))
        return any(fault.fault == "callback_out_of_order" for fault in both)

    def _later(
        self, payment: Payment, action: str, seconds: float, amount: int | None = None
    ) -> None:
        self.store.add_job(payment.provider_ref, action, time.time() + seconds, amount)
        self.wake()
