"""The state machine: orders, attempts, callbacks, polls, staff, crashes and time, in any order.

It runs over the real database with its own transactions. A crash is an exception that nothing in the product catches,
raised at the n-th border that the work crosses: before a statement, or on the way to or from the provider. What was
committed stays, what was not is gone, as with a killed process.
"""

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from orders.commands import lifecycle, provider_calls, refresh, refunds, review
from orders.domain.cause import Cause, Source
from orders.domain.errors import OrderError
from orders.journal import verify
from orders.models import Order, OrderEvent
from orders.schedule import checks
from tests.prove import provider, truth
from tests.prove.rows import advance, everything_is_due, forget, histories, told
from workers import comparing, reconciler

API, STAFF = Cause(Source.API, "shop"), Cause(Source.STAFF, "ada", "asked by the customer")
TOTAL = 1_000
A_MOMENT, AN_HOUR, A_DAY = timedelta(seconds=40), timedelta(hours=1), timedelta(days=1)
ROUNDS = 14  # after that a tick that still finds something new is a loop


WHICH = st.integers(0, 1)
AT = st.just(0) | st.integers(0, 45)  # the border to crash at; at 0, none
WRONG: list[dict[str, Any]] = [
    {},
    {"amount": 1},
    {"currency": "XTS"},
    {"captured": 2 * TOTAL},
]  # {}: forged
ENDS: Counter[str] = (
    Counter()
)  # how orders ended, and with which flags: that the machine reaches all of it


class Crash(BaseException):
    """The process is gone."""


class Crasher:
    """Counts borders, and crashes at the one that was drawn."""

    def __init__(self) -> None:
        self.left = 0

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        self.step()
        return execute(sql, params, many, context)


class Orders(RuleBasedStateMachine):
    """One shop with a few orders."""

    def __init__(self) -> None:
        super().__init__()
        provider.WORLD.__init__()  # type: ignore[misc] # the registry holds it: the same object, made new
        self.crasher = Crasher()
        provider.WORLD.step = self.crasher.step
        self.web = Client()
        self.refs: list[str] = []
        self.sent = 0

    # the shop

    @initialize(
        modes=st.lists(
            st.sampled_from(["", "callback", "callback", "sync"]), min_size=1, max_size=2
        ),
        crash=AT,
    )
    def opens(self, modes: list[str], crash: int) -> None:
        """One or two orders, most of them with a payment on its way, the first of which may meet a crash."""
        for mode in modes:
            order, _ = lifecycle.create_order(total=TOTAL, currency="EUR", cause=API)
            self.refs.append(order.ref)
            if mode:
                self.pay(-1, mode, crash)

    @rule(n=WHICH, mode=st.sampled_from(["callback", "callback", "sync"]), crash=AT)
    def pay(self, n: int, mode: str, crash: int) -> None:
        self._do(crash, lambda: provider_calls.start_payment(self._ref(n), mode=mode, cause=API))

    @rule(n=WHICH, wish=st.sampled_from(["cancel", None, 300, 700]), crash=AT)
    def cancel_or_refund(self, n: int, wish: str | int | None, crash: int) -> None:
        ref = self._ref(n)
        if wish == "cancel":
            self._do(
                crash, lambda: provider_calls.cancel_order(ref, reason="changed my mind", cause=API)
            )
        else:
            amount = None if wish is None else int(wish)
            self._do(
                crash,
                lambda: refunds.request_refund(ref, amount=amount, reason="broken", cause=API),
            )

    # the world; what it tells by callback is lost, or comes at once, twice, or later by the rule below

    @precondition(lambda _: bool(provider.WORLD.accounts))
    @rule(n=st.integers(0, 20), copies=st.sampled_from([0, 0, 1, 2]), crash=AT)
    def something_happens(self, n: int, copies: int, crash: int) -> None:
        possible = provider.WORLD.possible()
        if not possible:
            return
        provider.WORLD.act(*possible[n % len(possible)])
        for _ in range(copies):
            self._deliver(*provider.WORLD.told[-1], crash)

    @precondition(lambda _: bool(provider.WORLD.told))
    @rule(n=st.integers(0, 12), crash=AT)
    def an_old_callback_comes(self, n: int, crash: int) -> None:
        self._deliver(*self._told(n), crash)

    @rule(faults=st.lists(st.sampled_from(provider.FAULTS), min_size=1, max_size=3))
    def the_provider_has_trouble(self, faults: list[str]) -> None:
        provider.WORLD.faults = faults

    @rule(delta=st.sampled_from([A_MOMENT, AN_HOUR, A_DAY]))
    def time_passes(self, delta: timedelta) -> None:
        advance(delta)

    @precondition(lambda _: bool(provider.WORLD.told))
    @rule(n=st.integers(0, 12), change=st.sampled_from(WRONG))
    def a_false_callback_comes(self, n: int, change: dict[str, Any]) -> None:
        """Forged, or rightly signed with figures that cannot be: neither may move any money."""
        event, body = self._told(n)
        told = json.loads(body)
        wrong = json.dumps(
            {**told, "status": "captured", "captured": told["amount"], **change}
        ).encode()
        captured = (
            Order.objects.filter(ref__in=self.refs)
            .order_by("pk")
            .values_list("captured", flat=True)
        )
        before = list(captured), OrderEvent.objects.count()
        is_forged = not change
        self.sent += 1

        status = self._call_back(
            f"{event}_{self.sent}", wrong, "00" if is_forged else provider.sign(wrong)
        )

        assert (status, list(captured.all())) == (400 if is_forged else 200, before[0])
        assert not is_forged or OrderEvent.objects.count() == before[1]

    # repair, and people

    @rule(delta=st.sampled_from([A_MOMENT, A_MOMENT, AN_HOUR]), crash=AT)
    def what_is_due_is_polled(self, delta: timedelta, crash: int) -> None:
        def poll() -> None:
            for claim in checks.claim_due(timezone.now(), 4):
                refresh.refresh_payment(claim.payment_id, cause=reconciler.RECONCILER, claim=claim)

        advance(delta)
        self._do(crash, poll)

    @rule(n=WHICH, crash=AT)
    def staff_force_a_refresh(self, n: int, crash: int) -> None:
        self._do(crash, lambda: refresh.refresh_order(self._ref(n), cause=STAFF))

    @rule(n=WHICH, accepts=st.booleans(), crash=AT)
    def staff_have_looked(self, n: int, accepts: bool, crash: int) -> None:
        ref = self._ref(n)
        self._do(crash, lambda: review.clear_review(ref, reason="seen", cause=STAFF))
        if accepts:
            self._do(crash, lambda: review.accept_late_payment(ref, reason="in stock", cause=STAFF))

    # what holds in the end; history can be judged then too, since it cannot be rewritten

    def teardown(self) -> None:
        try:
            if self.refs:
                self._let_it_settle()
                self._judge()
                ENDS["examples"] += 1
        finally:
            forget()

    def _let_it_settle(self) -> None:
        provider.WORLD.faults = []
        provider.WORLD.step = lambda: None
        for number in range(ROUNDS):
            everything_is_due()
            found = reconciler.tick().found
            comparing.compare()
            # A conflict stays one however often the provider is asked; a person has been called.
            if number > 1 and set(found) <= {"nothing_new", "not_found", "conflict"}:
                return
        raise AssertionError(f"after {ROUNDS} ticks there is still news: {found}")

    def _judge(self) -> None:
        assert not list(verify.differences(lambda _: None))
        called: dict[str, set[str]] = {}
        for ref, events in histories(self.refs).items():
            assert not (wrong := truth.wrong_in_history(events)), (ref, wrong)
            called[ref] = {event.reason for event in events if event.reason}
        for order in Order.objects.filter(ref__in=self.refs).prefetch_related("payments"):
            ENDS.update([order.state, *(f"flag {name}" for name in order.flags)])
            ours = truth.Ours(
                state=order.state,
                total=order.total,
                captured=order.captured,
                refunded=order.refunded,
                flags=set(order.flags),
                called=called[order.ref],
            )
            refs = [p.ref for p in order.payments.all()]
            accounts = [provider.WORLD.accounts[r] for r in refs if r in provider.WORLD.accounts]
            wrong = truth.wrong_at_the_end(ours, accounts)
            assert not wrong, (wrong, ours, accounts, told(order))

    # how

    def _do(self, crash: int, work: Callable[[], object]) -> None:
        """Do it, and be killed at the border number `crash` (0: at none)."""
        self.crasher.left = crash
        try:
            with connection.execute_wrapper(self.crasher):
                work()
        except Crash:
            note("crashed")
        except OrderError as refused:
            note(f"refused: {refused}")
        finally:
            self.crasher.left = 0

    def _call_back(self, event: str, body: bytes, signature: str) -> int:
        headers = {"X-Event": event, "X-Signature": signature}
        answer = self.web.post(
            "/callbacks/model/", body, content_type="application/json", headers=headers
        )
        return answer.status_code

    def _deliver(self, event: str, body: bytes, crash: int = 0) -> None:
        self._do(crash, lambda: self._call_back(event, body, provider.sign(body)))

    def _told(self, n: int) -> tuple[str, bytes]:
        return provider.WORLD.told[-1 - n % len(provider.WORLD.told)]

    def _ref(self, n: int) -> str:
        return self.refs[n % len(self.refs)]
