"""The admin, through Django's test client: what staff see, what they can do, and what nobody can."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders import conversations, journal
from orders.events import OrderFlagged
from orders.models import CallbackReceipt, Order, OrderEvent, Payment, PaymentCheck, Refund
from tests.builders import API, a_payment, an_order, an_order_that_is, journal_of, tell, types_of
from tests.sandbox import SandboxProcess
from tests.workers.conftest import provider, provider_process

__all__ = ["provider", "provider_process"]
pytestmark = pytest.mark.usefixtures("database")

LIST = "/admin/orders/order/"
MODELS: list[type[Model]] = [
    Order, OrderEvent, Payment, Refund, CallbackReceipt, PaymentCheck,
]  # fmt: skip


@pytest.fixture
def staff(database: None) -> Client:
    """Rosa, who may do everything."""
    return logged_in(User.objects.create_superuser("rosa"))


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def staff_with(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return logged_in(user)


def run(client: Client, action: str, *orders: Order, **form: str) -> str:
    """Choose orders in the list and run an action, as the page's form does."""
    chosen = [str(order.pk) for order in orders]
    sent = {"action": action, "_selected_action": chosen, "index": "0", **form}
    answer = client.post(LIST, sent, follow=True)
    html: str = answer.content.decode()
    return html


def seen(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def flagged(order: Order, reason: str = "mismatch") -> Order:
    with transaction.atomic():
        event = OrderFlagged(reason=reason, detail="the provider says 900")
        journal.record(Order.objects.locked(order.ref), event, API)
    return Order.objects.get(pk=order.pk)


def begun(order: Order) -> Payment:
    return conversations.start_payment(order.ref, mode="callback", cause=API)


def test_the_list_shows_state_amount_flags_and_checks(staff: Client) -> None:
    order = flagged(an_order_that_is("awaiting_payment"))
    a_payment(order, "pending", next_check_at="2020-01-01T00:00:00Z")

    html = seen(staff.get(LIST).content.decode())

    assert f"{order.ref[:8]}… awaiting payment €10.00 mismatch" in html
    assert "– due" in html


@pytest.mark.parametrize(
    "term",
    ["{order.ref}", "{order.ref:.10}", "{payment.ref}", "pay_remote", "key-1", "buyer"],
)
def test_any_reference_finds_the_order(staff: Client, term: str) -> None:
    buyer = User.objects.create_user("buyer")
    order = an_order(customer_id=buyer.pk, idempotency_key="key-1")
    payment = a_payment(order, "pending", provider_ref="pay_remote")
    other = an_order()

    html = staff.get(LIST, {"q": term.format(order=order, payment=payment)}).content.decode()

    assert order.ref[:8] in html
    assert f">{other.ref[:8]}" not in html
    assert f'value="{order.pk}"' in html


def test_nonsense_finds_nothing_and_breaks_nothing(staff: Client) -> None:
    an_order()

    for term in ("'; DROP", "%", "\x00", "x" * 5_000):
        assert staff.get(LIST, {"q": term}).status_code == 200


def test_the_list_never_counts_the_whole_table_nor_asks_for_each_row(staff: Client) -> None:
    for _ in range(5):
        a_payment(an_order(), "pending")
    staff.get(LIST)  # whatever is cached once

    with CaptureQueriesContext(
        connection,
    ) as few:
        staff.get(LIST)
    for _ in range(5):
        a_payment(an_order(), "pending")
    with CaptureQueriesContext(connection) as many:
        staff.get(LIST)

    counts = [q["sql"] for q in many if "COUNT(" in q["sql"]]
    assert len(many) == len(few)
    assert counts
    assert all("LIMIT 5000" in sql for sql in counts)


def test_an_order_shows_its_history_payments_checks_and_receipts_linked(
    staff: Client, provider: SandboxProcess
) -> None:
    order = an_order()
    payment = begun(order)
    run(staff, "force_refresh", order, reason="asked", confirm="1")
    receipt = CallbackReceipt.objects.create(
        provider="house", event_id="e1", kind="payment.x", payment=payment, body="{}", outcome="nothing_new"
    )  # fmt: skip

    html = staff.get(f"{LIST}{order.pk}/change/").content.decode()

    event, check = OrderEvent.objects.latest("pk"), PaymentCheck.objects.get()
    for row in (payment, receipt, event, check):
        assert f'href="/admin/orders/{row._meta.model_name}/{row.pk}/change/"' in html
    assert "payment.started" in html
    assert "nothing_new" in html


def test_every_table_can_be_looked_at(staff: Client, provider: SandboxProcess) -> None:
    payment = begun(an_order())
    Refund.objects.create(payment=payment, amount=5)
    CallbackReceipt.objects.create(provider="house", event_id="e", body="<b>", outcome="unmatched")
    PaymentCheck.objects.create(payment=payment, source="staff", found="nothing_new")

    for model in MODELS:
        row = model._default_manager.first()
        assert row is not None
        listing = f"/admin/orders/{model._meta.model_name}/"
        assert staff.get(listing, {"q": "abc"}).status_code == 200
        assert staff.get(listing).status_code == 200
        assert staff.get(f"{listing}{row.pk}/change/").status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_changed_or_deleted_here(staff: Client, model: type[Model]) -> None:
    order = an_order_that_is("paid")
    payment = a_payment(order, "captured")
    Refund.objects.create(payment=payment, amount=5)
    PaymentCheck.objects.create(payment=payment, source="staff", found="x")
    CallbackReceipt.objects.create(provider="house", event_id="e", body="", outcome="unmatched")
    row = model._default_manager.first()
    assert row is not None
    before = journal_of(order)
    listing = f"/admin/orders/{model._meta.model_name}/"

    codes = [
        staff.get(f"{listing}add/").status_code,
        staff.post(f"{listing}add/").status_code,
        staff.post(f"{listing}{row.pk}/change/", {"state": "refunded"}).status_code,
        staff.post(f"{listing}{row.pk}/delete/", {"post": "yes"}).status_code,
    ]
    staff.post(listing, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})

    assert codes == [403] * 4
    assert model._default_manager.filter(pk=row.pk).exists()
    assert journal_of(order) == before


def test_force_refresh_asks_for_a_reason_first(staff: Client, provider: SandboxProcess) -> None:
    order = an_order()
    payment = begun(order)

    asked = run(staff, "force_refresh", order)
    again = run(staff, "force_refresh", order, confirm="1", reason="  ")

    assert 'name="reason"' in asked
    assert "This field is required" in again
    assert not PaymentCheck.objects.filter(payment=payment).exists()


def test_force_refresh_brings_the_order_to_the_providers_truth_and_says_so(
    staff: Client, provider: SandboxProcess
) -> None:
    order = an_order()
    payment = begun(order)
    provider.act(payment.provider_ref, "pay")

    html = run(staff, "force_refresh", order, confirm="1", reason="she says she paid")

    order.refresh_from_db()
    event = OrderEvent.objects.latest("pk")
    check = PaymentCheck.objects.get()
    assert order.state == "paid"
    assert (event.source, event.actor) == ("staff", "rosa")
    assert (check.source, check.actor, check.found) == ("staff", "rosa", "applied")
    assert "she says she paid" in check.detail
    assert "Something new, and applied" in seen(html)
    assert "awaiting_payment → paid" in seen(html)


def test_force_refresh_shows_a_result_for_each_order(
    staff: Client, provider: SandboxProcess
) -> None:
    paid, waiting, unbegun = an_order(), an_order(), an_order()
    provider.act(begun(paid).provider_ref, "pay")
    begun(waiting)

    html = seen(run(staff, "force_refresh", paid, waiting, unbegun, confirm="1", reason="all"))

    assert "Something new, and applied" in html
    assert "Nothing new" in html
    assert "There is no payment yet to ask about" in html


def test_a_provider_that_is_away_is_said_and_harms_nothing(
    staff: Client, provider: SandboxProcess
) -> None:
    order = an_order()
    begun(order)
    before = journal_of(order)
    provider.set_faults("answer_500")

    html = seen(run(staff, "force_refresh", order, confirm="1", reason="asked"))

    assert "The provider is away" in html
    assert journal_of(order) == before


def test_only_who_has_the_permission_can_force_a_refresh() -> None:
    order = an_order()
    client = staff_with("view_order", "change_order")

    html = client.get(LIST).content.decode()
    run(client, "force_refresh", order, confirm="1", reason="asked")

    assert "force_refresh" not in html
    assert "clear_review" in html
    assert not PaymentCheck.objects.exists()


def test_who_may_only_look_has_no_action_at_all() -> None:
    an_order()

    html = staff_with("view_order").get(LIST).content.decode()

    assert 'name="action"' not in html


def test_clearing_a_review_keeps_who_and_why(staff: Client) -> None:
    order = flagged(an_order_that_is("awaiting_payment"))

    html = seen(run(staff, "clear_review", order, confirm="1", reason="a typo of theirs"))

    event = OrderEvent.objects.latest("pk")
    assert (event.type, event.actor) == ("order.review_cleared", "rosa")
    assert event.data == {"cleared": ["mismatch"], "reason": "a typo of theirs"}
    assert "Flags cleared" in html


def test_a_late_payment_is_accepted_with_a_reason(staff: Client) -> None:
    order = an_order_that_is("expired")
    payment = a_payment(order, "pending")
    tell(payment, "captured")

    run(staff, "accept_late_payment", order, confirm="1", reason="the shop still has it")

    order.refresh_from_db()
    event = OrderEvent.objects.latest("pk")
    assert order.state == "paid"
    assert (event.type, event.data["reason"]) == ("order.late_payment_accepted", "the shop still has it")  # fmt: skip


def test_what_an_order_does_not_allow_is_refused_with_what_would_be_legal(staff: Client) -> None:
    order = an_order_that_is("refunded")

    html = seen(run(staff, "accept_late_payment", order, confirm="1", reason="why not"))

    assert "Not done" in html
    assert "refund_changed" in html
    assert types_of(order)[-1] == "refund.changed"


def test_too_many_orders_at_once_are_declined_before_anything_is_asked(staff: Client) -> None:
    orders = [an_order() for _ in range(51)]

    html = seen(run(staff, "force_refresh", *orders, confirm="1", reason="all of them"))

    assert "Please choose at most 50 orders at once" in html
