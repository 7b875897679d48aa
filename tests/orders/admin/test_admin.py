"""The admin, through Django's test client: what staff see, and what nobody can do."""

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders.admin.base import deadline
from orders.admin.names import FIELDS
from orders.models import (
    AuditEntry,
    CallbackReceipt,
    Order,
    OrderEvent,
    Payment,
    PaymentCheck,
    RefreshRun,
    Refund,
)
from orders.support import labels
from tests.builders import a_payment, an_order, an_order_that_is, journal_of
from tests.orders.staff import LIST, begun, flagged, logged_in, refreshed, seen, staff_with
from tests.sandbox import SandboxProcess
from tests.workers.conftest import provider, provider_process

__all__ = ["provider", "provider_process"]
pytestmark = pytest.mark.usefixtures("database")

MODELS: list[type[Model]] = [
    Order, OrderEvent, Payment, Refund, CallbackReceipt, PaymentCheck, AuditEntry, RefreshRun,
]  # fmt: skip


@pytest.fixture
def staff(database: None) -> Client:
    """Rosa, who may do everything."""
    return logged_in(User.objects.create_superuser("rosa"))


def test_the_list_shows_state_amount_flags_and_checks(staff: Client) -> None:
    order = flagged(an_order_that_is("awaiting_payment"))
    a_payment(order, "pending", next_check_at="2020-01-01T00:00:00Z")

    html = seen(staff.get(LIST).content.decode())

    assert f"{order.ref[:8]}… Mismatch Awaiting payment €10.00" in html
    assert "– overdue" in html


@pytest.mark.parametrize(
    "term",
    ["{order.ref}", "{order.ref:.10}", "{payment.ref}", "pay_remote", "key-1", "buyer", "evt_1"],
)
def test_any_reference_finds_the_order(staff: Client, term: str) -> None:
    buyer = User.objects.create_user("buyer")
    order = an_order(customer_id=buyer.pk, idempotency_key="key-1")
    payment = a_payment(order, "pending", provider_ref="pay_remote")
    CallbackReceipt.objects.create(
        provider="house", event_id="evt_1", payment=payment, body="{}", outcome="applied"
    )
    other = an_order()

    html = staff.get(LIST, {"q": term.format(order=order, payment=payment)}).content.decode()

    assert order.ref[:8] in html
    assert f">{other.ref[:8]}" not in html
    assert f'value="{order.pk}"' in html


@pytest.mark.parametrize(
    "term",
    [
        "Zwei",
        "kaffee",
        "kaf zwe",
        "R-2026/0042",
        "778899",
        "12.50",
        "€12,50",
        "12,50 EUR",
        "EUR 12.50",
    ],
)
def test_what_the_shop_wrote_on_it_finds_the_order(staff: Client, term: str) -> None:
    metadata = {"title": "Zwei Tüten Kaffee", "number": "R-2026/0042", "basket": {"id": 778899}}
    order = an_order(total=1_250, metadata=metadata)
    other = an_order(total=1_251, metadata={"title": "Tea", "number": "R-2026/0043"})

    html = staff.get(LIST, {"q": term}).content.decode()

    assert order.ref[:8] in html
    assert "Zwei Tüten Kaffee" in html
    assert f">{other.ref[:8]}" not in html


@pytest.mark.parametrize("term", ["' & ''", "\\", "):*", "& | !", "':*"])
def test_a_search_is_words_and_no_query_language(staff: Client, term: str) -> None:
    an_order()

    assert staff.get(LIST, {"q": term}).status_code == 200


def test_the_list_is_narrowed_to_when_orders_were_made(staff: Client) -> None:
    new, old = an_order(), an_order()
    Order.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=20))

    def shown(created: str) -> set[str]:
        html = staff.get(LIST, {"created": created}).content.decode()
        return {order.ref for order in (new, old) if order.ref[:8] in html}

    assert [shown(each) for each in ("today", "7", "30", "nonsense")] == [
        {new.ref},
        {new.ref},
        {new.ref, old.ref},
        {new.ref, old.ref},
    ]


@pytest.mark.parametrize(
    ("permission", "part"),
    [("view_auditentry", "oc-audit"), ("view_callbackreceipt", "oc-receipts")],
)
def test_an_orders_page_shows_no_table_that_one_may_not_see(permission: str, part: str) -> None:
    order = an_order()
    address = f"{LIST}{order.pk}/change/"
    looker = staff_with("view_order")

    assert part not in looker.get(address).content.decode()
    user = User.objects.get(username="clerk")
    user.user_permissions.add(Permission.objects.get(codename=permission))
    assert part in logged_in(user).get(address).content.decode()


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
    refreshed(staff, order)
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
    refreshed(staff, payment.order)

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
    AuditEntry.objects.create(action="x", source="staff", actor="rosa", outcome="done")
    RefreshRun.objects.create(actor="rosa", reason="asked")
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


def test_an_order_says_why_nothing_changes(staff: Client) -> None:
    order = an_order_that_is("awaiting_payment")
    a_payment(order, "pending", provider="house", profile="waiting")

    html = seen(staff.get(f"{LIST}{order.pk}/change/").content.decode())

    assert "Why is this order in this state?" in html
    assert "No callback received yet." in html
    assert "Not checked yet." in html


def test_raw_data_is_folded_away(staff: Client) -> None:
    order = an_order_that_is("paid")

    html = staff.get(f"{LIST}{order.pk}/change/").content.decode()

    raw = html.split("<details")[1:]
    assert len(raw) > OrderEvent.objects.filter(order=order).count()
    assert not any("open" in part.split(">")[0] for part in raw)


def test_checks_that_are_overdue_are_found(staff: Client) -> None:
    late, due_soon = an_order(), an_order()
    a_payment(late, "pending", next_check_at="2020-01-01T00:00:00Z")
    a_payment(due_soon, "pending", next_check_at="2040-01-01T00:00:00Z")

    html = staff.get(LIST, {"checks": "overdue"}).content.decode()

    assert f">{late.ref[:8]}" in html
    assert f">{due_soon.ref[:8]}" not in html


def test_receipts_without_a_payment_are_found(staff: Client) -> None:
    made = CallbackReceipt.objects.create
    made(provider="house", event_id="evt_known", body="", outcome="applied")
    made(provider="house", event_id="evt_lost", body="", outcome="unmatched", needs_review=True)
    made(
        provider="house", event_id="evt_early", body="", outcome="unmatched",
        next_try_at="2040-01-01T00:00:00Z",
    )  # fmt: skip

    html = staff.get("/admin/orders/callbackreceipt/", {"receipts": "unmatched"}).content.decode()

    assert "evt_lost" in html
    assert "evt_early" in html
    assert "evt_known" not in html


def test_an_audit_entry_leads_to_its_order(staff: Client) -> None:
    order = an_order()
    AuditEntry.objects.create(
        action="x", source="api", actor="shop", outcome="done", order=order.ref
    )

    html = staff.get("/admin/orders/auditentry/").content.decode()
    found = staff.get(LIST, {"q": order.ref}).content.decode()

    assert f'href="{LIST}?q={order.ref}"' in html
    assert f">{order.ref[:8]}" in found


def test_a_check_within_a_minute_is_counted_down_in_seconds(staff: Client) -> None:
    order = an_order_that_is("awaiting_payment")
    at = timezone.now() + timedelta(seconds=52.5)
    a_payment(order, "pending", provider="house", profile="waiting", next_check_at=at)

    html = seen(staff.get(f"{LIST}{order.pk}/change/").content.decode())

    facts, why = re.findall(r"next check (\w+ \d+ seconds)|Next check (\w+ \d+ seconds):", html)
    assert facts[0] in {"in 52 seconds", "in 51 seconds"}
    assert why[1] in {"in 52 seconds", "in 51 seconds"}


@pytest.mark.parametrize(
    ("ends_in", "shown"),
    [(timedelta(hours=2.5), "in 2 hours"), (-timedelta(minutes=3.5), "3 minutes ago")],
)
def test_a_payment_deadline_lies_ahead_or_behind(ends_in: timedelta, shown: str) -> None:
    assert shown in seen(deadline(timezone.now() + ends_in))


def test_amounts_of_a_payment_are_written_in_its_currency(staff: Client) -> None:
    payment = a_payment(an_order_that_is("paid"), "captured", captured=1_000, refunded=250)

    html = seen(staff.get(f"/admin/orders/payment/{payment.pk}/change/").content.decode())

    assert "Captured: €10.00 Refunded: €2.50 Disputed: €0.00" in html


def test_staff_read_labels_in_their_language(staff: Client) -> None:
    order = flagged(an_order_that_is("paid"))
    payment = a_payment(order, "intended", provider="house", profile="waiting")
    CallbackReceipt.objects.create(
        provider="house", event_id="e", payment=payment, body="", outcome="nothing_new"
    )
    PaymentCheck.objects.create(payment=payment, source="reconciler", found="unavailable")
    german = {"Accept-Language": "de"}

    pages = [staff.get(where, headers=german) for where in (f"{LIST}{order.pk}/change/", LIST)]

    html = seen(" ".join(page.content.decode() for page in pages))
    tables = (labels.STATES, labels.STATUSES, labels.FOUND, labels.FLAGS, labels.EVENTS)
    english = {str(label) for table in tables for label in table.values()}
    assert sorted(label for label in english if re.search(rf"\b{re.escape(label)}\b", html)) == []
    for label in (
        "Bezahlt",
        "Unbestätigt",
        "Keine Änderung",
        "Anbieter nicht erreichbar",
        "Abweichung",
    ):
        assert label in html
    assert "Zahlung eingezogen payment.captured" in html
    assert "Handlungsbedarf: Abweichung" in html


def test_the_list_filters_by_states_as_staff_read_them(staff: Client) -> None:
    html = seen(staff.get(LIST).content.decode())

    assert "All Created Awaiting payment Processing Authorised Paid Partially refunded" in html


def test_models_and_fields_are_called_by_names_in_the_readers_language(staff: Client) -> None:
    payment = a_payment(an_order(), "pending", provider="house", profile="waiting")
    german = {"Accept-Language": "de"}

    pages = [
        staff.get(where, headers=german).content.decode()
        for where in ("/admin/", LIST, f"/admin/orders/payment/{payment.pk}/change/")
    ]

    index, listed, one = (seen(page) for page in pages)
    assert "Bestellungen und Zahlungen" in index
    assert "Protokolleinträge" in index
    assert "Bestellung zum Ansehen auswählen" in listed
    assert "Nach Zustand" in listed
    assert "Nummer des Anbieters:" in one
    assert "nächste Abfrage:" in one.replace("Nächste", "nächste")


@pytest.mark.parametrize("model", MODELS)
def test_each_field_that_the_admin_shows_has_a_name(model: type[Model]) -> None:
    options = admin.site._registry[model]
    names = {field.name for field in model._meta.concrete_fields}
    shown = {
        *options.list_display,
        *flatten_fieldsets(options.fieldsets or ((None, {"fields": options.fields or ()}),)),
    }

    assert sorted((shown & names) - set(FIELDS)) == []
