"""Why did nothing change? Asked of orders that a real provider process knows."""

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone, translation

from orders import access
from orders.commands import refunds, review
from orders.domain.cause import Cause, Source
from orders.domain.errors import OrderNotFound
from orders.domain.states import State
from orders.models import CallbackReceipt, Payment
from orders.schedule.profiles import PROFILES, Profile
from orders.support.explain import explain, next_look
from tests.builders import a_payment, an_order_that_is
from tests.orders.staff import flagged
from tests.sandbox import SandboxProcess
from tests.workers.conftest import API, begun, make_due
from workers import reconciler


def test_a_waiting_order_says_who_was_asked_and_when_again(provider: SandboxProcess) -> None:
    order, payment = begun()
    make_due(payment)
    reconciler.tick()

    told = explain(order.ref)

    (story,) = told.payments
    assert story.last_look is not None
    assert (told.state, told.source, told.actor) == ("awaiting_payment", "api", "shop")
    assert (story.last_look.found, story.last_look.source) == ("nothing_new", "reconciler")
    assert (story.next_look.step, story.next_look.steps) == (2, len(PROFILES[Profile.WAITING]))
    assert story.next_look.words == "step 2 of 19 (a customer is waiting)"
    assert "No callback received yet." in told.why
    assert "Result: No change. Next check in " in told.why


def test_an_outage_is_given_as_the_reason_why_a_look_was_put_off(provider: SandboxProcess) -> None:
    order, payment = begun()
    make_due(payment)
    provider.set_faults({"fault": "answer_503", "count": 5})
    reconciler.tick()

    words = explain(order.ref).payments[0].next_look.words
    assert words == "postponed without using up a step (Provider unavailable)"


def test_a_paid_order_says_who_said_so_and_that_nothing_is_open(provider: SandboxProcess) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "pay")
    make_due(payment)
    reconciler.tick()

    told = explain(order.ref)

    assert (told.state, told.event, told.source) == ("paid", "payment.captured", "reconciler")
    assert told.payments[0].next_look.at is None
    assert told.why.startswith("Paid just now. Source: Reconciler. ")
    assert "No further check scheduled; nightly reconciliation still applies." in told.why


def test_what_went_back_in_the_providers_console_is_told_apart_from_what_was_asked_for_here(
    provider: SandboxProcess,
) -> None:
    order, payment = begun()
    provider.act(payment.provider_ref, "pay")
    make_due(payment)
    reconciler.tick()
    refunds.request_refund(order.ref, amount=300, reason="", cause=API)
    asked_for = explain(order.ref)
    provider.act(payment.provider_ref, "refund", 250)
    make_due(payment)
    reconciler.tick()

    told = explain(order.ref)

    assert [(p.refunded, p.refunded_elsewhere) for p in asked_for.payments] == [(300, 0)]
    assert [(p.refunded, p.refunded_elsewhere) for p in told.payments] == [(550, 250)]
    assert "€2.50 was refunded outside Ordercast." in told.why
    assert "outside Ordercast" not in asked_for.why


def test_a_flag_stands_with_its_reason_until_it_is_cleared(provider: SandboxProcess) -> None:
    order, _ = begun()
    staff = Cause(Source.STAFF, "ada")
    for reason in ("mismatch", "overpaid"):
        review.flag_order(order.ref, reason=reason, detail=f"because of {reason}", cause=staff)
    flagged = explain(order.ref)
    review.clear_review(order.ref, reason="seen", cause=staff)
    review.flag_order(order.ref, reason="mismatch", detail="again", cause=staff)

    told = explain(order.ref)

    assert [flag.reason for flag in flagged.flags] == ["mismatch", "overpaid"]
    assert [(flag.reason, flag.detail) for flag in told.flags] == [("mismatch", "again")]
    assert "Needs attention: Mismatch – again." in told.why


def test_a_state_is_as_old_as_the_event_that_brought_it(provider: SandboxProcess) -> None:
    order, _ = begun()
    before = explain(order.ref)

    review.flag_order(order.ref, reason="mismatch", detail="-", cause=API)

    assert explain(order.ref).since == before.since


def test_receipts_are_told_also_those_that_came_too_early(provider: SandboxProcess) -> None:
    order, payment = begun()
    values = {"provider": "house", "body": "{}", "kind": "payment.captured"}
    CallbackReceipt.objects.create(event_id="1", payment=payment, outcome="applied", **values)
    early = {"merchant_ref": payment.ref, "outcome": "unmatched", **values}
    CallbackReceipt.objects.create(event_id="2", next_try_at=payment.created_at, **early)
    CallbackReceipt.objects.create(event_id="3", needs_review=True, **early)

    told = [(row.outcome, row.needs_review) for row in explain(order.ref).receipts]
    assert told == [("unmatched", True), ("unmatched", False), ("applied", False)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"step": 19},
            "No further check scheduled: all 19 steps are done; staff can still force a refresh",
        ),
        (
            {"step": 2},
            "No further check scheduled; nightly reconciliation still applies",
        ),
    ],
)
def test_why_no_look_is_planned(values: dict[str, int], words: str) -> None:
    payment = Payment(profile="waiting", next_check_at=None, **values)

    assert next_look(payment, "nothing_new", timezone.now()).words == words


def test_the_command_tells_the_same(
    provider: SandboxProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    order, payment = begun()

    call_command("why", order.ref)

    printed = capsys.readouterr().out
    assert printed.startswith("Payment started just now, not completed yet.")
    assert payment.ref in printed


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("state", State)
def test_each_state_has_a_sentence_of_its_own(state: State) -> None:
    why = explain(an_order_that_is(state).ref).why

    assert "just now" in why.partition(" Source: ")[0]


@pytest.mark.usefixtures("database")
def test_staff_read_it_in_their_language_and_the_api_answers_in_english() -> None:
    order = flagged(an_order_that_is("paid"))
    a_payment(order, "captured", profile="waiting")
    service = {
        "Authorization": f"Bearer {django_settings.ORDERCAST_SERVICE_TOKEN}",
        "Accept-Language": "de",
    }

    with translation.override("de"):
        german = explain(order.ref)
    english = Client().get(f"/api/orders/{order.ref}/why", headers=service).json()

    assert german.why.startswith("Bezahlt gerade eben. Quelle: ")
    assert "Handlungsbedarf: Abweichung – " in german.why
    assert german.payments[0].next_look.words.startswith("Keine weitere Abfrage geplant;")
    assert english["why"].startswith("Paid just now. Source: ")


@pytest.mark.usefixtures("database")
def test_an_order_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(OrderNotFound):
        explain("0" * 32)
    with pytest.raises(CommandError, match="There is no order"):
        call_command("why", "0" * 32)


def test_the_api_tells_services_and_staff_and_no_customer(provider: SandboxProcess) -> None:
    order, _ = begun()
    address = f"/api/orders/{order.ref}/why"
    service = {"Authorization": f"Bearer {django_settings.ORDERCAST_SERVICE_TOKEN}"}
    guest = {"Authorization": f"Bearer {access.issue_grant([order.ref])}"}

    told = Client().get(address, headers=service)
    refused = Client().get(address, headers=guest)

    assert told.status_code == 200
    assert told.json()["payments"][0]["next_look"]["steps"] == len(PROFILES[Profile.WAITING])
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
