"""The customers' pages, through Django's test client: right without JavaScript."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings

from orders import access
from orders.domain import money
from orders.domain.events import CancellationRequested, ConflictFound, OrderFlagged
from orders.domain.states import State
from orders.models import Order
from realtime.pages import texts
from tests.builders import STAFF, an_order, an_order_that_is
from tests.realtime.pages.reading import (
    for_script,
    in_stream,
    page_of,
    shown_without_script,
    text_of,
)

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("state", list(State))
def test_each_state_is_said_in_plain_words_with_what_happens_next(state: State) -> None:
    order = an_order_that_is(state)

    shown = shown_without_script(page_of(order))

    assert str(texts.STATES[state].headline) in shown
    assert str(texts.STATES[state].next) in shown
    assert "_" not in shown.replace(order.ref, "")


def test_the_script_goes_on_from_the_very_version_that_was_rendered() -> None:
    order = an_order_that_is("paid")

    answer = page_of(order)

    page = for_script(answer)
    assert page["cursor"]["version"] == order.version
    assert f'data-version="{order.version}"' in text_of(answer)


def test_no_page_needs_more_than_the_strictest_content_policy() -> None:
    answer = page_of(an_order_that_is("failed"))
    html = text_of(answer)

    assert answer["Content-Security-Policy"].startswith("default-src 'self';")
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    assert re.findall(r'<script id="page" type="application/json">', html)
    assert not re.search(r"<script(?! id=\"page\" type=\"application/json\")(?![^>]* src=)", html)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


def test_a_title_from_the_shop_cannot_break_out_of_the_page() -> None:
    order = an_order(metadata={"title": "</script><script>alert(1)</script>"})

    assert "<script>alert" not in text_of(page_of(order))


def test_amounts_are_written_with_their_currency_own_decimals() -> None:
    shown = [money.written(1250, c) for c in ("EUR", "JPY", "KWD", "CHF")]

    assert shown == ["€12.50", "¥1,250", "KWD\xa01.250", "CHF\xa012.50"]
    assert money.written(123_456_789, "USD") == "$1,234,567.89"
    assert money.written(-5, "GBP") == "−£0.05"


def test_a_refund_shows_in_the_amounts_and_in_the_history() -> None:
    shown = shown_without_script(page_of(an_order_that_is("partially_refunded")))

    assert "Received €10.00" in shown
    assert "Refunded €3.00" in shown
    assert "Refunded in all €3.00" in shown


def test_an_order_that_a_person_looks_at_says_so_calmly_and_no_more() -> None:
    order = an_order_that_is("awaiting_payment")
    flag(order, "mismatch", "the provider says 900")

    shown = shown_without_script(page_of(order))

    assert "Someone on our team is checking this order" in shown
    assert "mismatch" not in shown
    assert "900" not in shown


def test_what_is_none_of_the_customers_business_is_in_no_part_of_the_page() -> None:
    order = an_order_that_is("awaiting_payment")
    in_stream(order, ConflictFound(payment="p1", ours="captured", theirs="pending"))

    html = text_of(page_of(order))

    assert "conflict" not in html
    assert STAFF.actor not in html


def test_a_cancellation_that_waits_for_the_provider_offers_no_payment() -> None:
    order = an_order_that_is("awaiting_payment")
    in_stream(order, CancellationRequested(reason="changed my mind"))

    shown = shown_without_script(page_of(order))

    assert "This order is being cancelled" in shown
    assert "Continue to payment" not in shown


def test_unknown_not_yours_and_bad_grant_look_the_same() -> None:
    order, other = an_order(), an_order()
    grant = access.issue_grant([other.ref])
    asked = [
        f"/orders/{order.ref}/",
        f"/orders/{order.ref}/?grant={grant}",
        f"/orders/{order.ref}/?grant=nonsense",
        f"/orders/{'0' * 32}/",
        f"/orders/{'0' * 32}/?grant={grant}",
        "/orders/nothing/",
        "/orders/%00/",
    ]

    answers = [Client().get(path, follow=True) for path in asked]

    assert {answer.status_code for answer in answers} == {404}
    own = r'next=[^"]*|name="(?:next|csrfmiddlewaretoken)" value="[^"]*"'
    assert len({re.sub(own, "", text_of(answer)) for answer in answers}) == 1


def test_a_link_that_has_run_out_says_so() -> None:
    order = an_order()
    grant = access.issue_grant([order.ref], timedelta(seconds=-1))

    answer = Client().get(f"/orders/{order.ref}/?grant={grant}", follow=True)

    assert answer.status_code == 404
    assert "This link has expired" in text_of(answer)


def test_the_customer_and_staff_with_the_permission_see_the_order_and_others_do_not() -> None:
    owner, other, staff = (User.objects.create_user(n) for n in ("owner", "other", "staff"))
    staff.user_permissions.add(Permission.objects.get(codename="view_order"))
    order = an_order(customer_id=owner.pk)

    seen = {user.username: status_for(user, order) for user in (owner, other, staff)}

    assert seen == {"owner": 200, "other": 404, "staff": 200}


def test_a_customer_who_is_no_staff_can_log_in() -> None:
    User.objects.create_user("owner", password="open sesame")

    answer = Client().post("/login/", {"username": "owner", "password": "open sesame"})

    assert (answer.status_code, answer["Location"]) == (302, "/orders/")


def test_every_page_keeps_to_the_policy_and_out_of_search_engines() -> None:
    answers = [Client().get(path) for path in ("/", "/login/", "/orders/nothing/")]

    assert {answer["Content-Security-Policy"].split(";")[0] for answer in answers} == {
        "default-src 'self'"
    }
    assert {answer["X-Robots-Tag"] for answer in answers} == {"noindex"}


def test_the_start_page_leads_to_log_in_api_and_admin() -> None:
    html = text_of(Client().get("/"))

    assert all(f'href="{path}"' in html for path in ("/login/", "/orders/", "/api/docs", "/admin/"))


def status_for(user: User, order: Order) -> int:
    client = Client()
    client.force_login(user)
    return client.get(f"/orders/{order.ref}/").status_code


def flag(order: Order, reason: str, detail: str) -> None:
    in_stream(order, OrderFlagged(reason=reason, detail=detail))


def test_the_shop_puts_its_name_on_its_pages(settings: Settings) -> None:
    settings.ORDERCAST_SHOP_NAME = "Kaffee & Kuchen"
    order = an_order_that_is("paid")

    assert "Kaffee & Kuchen" in shown_without_script(page_of(order))
    assert "Kaffee & Kuchen" in shown_without_script(page_of(order, under="receipt/"))
