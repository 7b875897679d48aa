"""How a guest comes to an order's page: the grant moves from the address into a cookie of that order's alone."""

from datetime import timedelta
from http.cookies import Morsel
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from orders import access
from orders.access import grant_cookie, revocation
from orders.models import Order
from tests.builders import an_order, an_order_that_is
from tests.realtime.pages.reading import granted, shown_without_script, text_of

pytestmark = pytest.mark.usefixtures("database")

NAMES = ["ordercast_grant", "ordercast_grant_api", "ordercast_grant_socket"]


def opened(order: Order, **headers: str) -> Client:
    """A browser that has opened the shop's link."""
    client = Client(headers=headers)
    client.get(granted(order))
    return client


def cookies_of(client: Client) -> dict[str, "Morsel[str]"]:
    return {name: client.cookies[name] for name in NAMES if name in client.cookies}


def test_a_link_becomes_a_cookie_of_this_order_alone_and_a_clean_address() -> None:
    order = an_order()
    client = Client()

    answer = client.get(granted(order))

    assert (answer.status_code, answer["Location"]) == (303, f"/orders/{order.ref}/")
    assert answer["Cache-Control"] == "no-store"
    found = cookies_of(client)
    assert [each["path"] for each in found.values()] == [
        f"/orders/{order.ref}/", f"/api/orders/{order.ref}", f"/ws/orders/{order.ref}/",
    ]  # fmt: skip
    assert {(each["httponly"], each["samesite"]) for each in found.values()} == {(True, "Lax")}
    assert client.get(f"/orders/{order.ref}/").status_code == 200


def test_the_page_itself_holds_no_grant() -> None:
    order = an_order_that_is("paid")

    client = opened(order)

    for under in ("", "receipt/"):
        assert "eyJ" not in text_of(client.get(f"/orders/{order.ref}/{under}"))


def test_over_https_the_cookie_is_sent_over_nothing_else(settings: Settings) -> None:
    settings.SESSION_COOKIE_SECURE = True

    found = cookies_of(opened(an_order()))

    assert [each["secure"] for each in found.values()] == [True] * 3


def test_the_cookie_lasts_as_long_as_the_grant() -> None:
    order = an_order()
    grant = access.issue_grant([order.ref], timedelta(hours=2))
    client = Client()

    client.get(f"/orders/{order.ref}/?grant={grant}")

    assert all(7_190 < each["max-age"] <= 7_200 for each in cookies_of(client).values())


def test_the_cookie_is_the_same_grant_for_that_order_alone() -> None:
    order, other = an_order(), an_order()
    grant = access.issue_grant([order.ref, other.ref])
    client = Client()

    client.get(f"/orders/{order.ref}/?grant={grant}")

    whole = access.read_token(grant)
    kept = access.read_token(client.cookies["ordercast_grant"].value)
    assert kept.refs == {order.ref}
    assert (kept.token_id, kept.issued_at, kept.expires_at) == (
        whole.token_id, whole.issued_at, whole.expires_at,
    )  # fmt: skip


@pytest.mark.parametrize("by", ["token", "order"])
def test_what_revokes_the_link_revokes_the_cookie(by: str) -> None:
    order = an_order()
    grant = access.issue_grant([order.ref])
    client = Client()
    client.get(f"/orders/{order.ref}/?grant={grant}")
    names = {
        "token": revocation.token_of(access.read_token(grant)),
        "order": revocation.order(order.ref),
    }

    access.revoke(names[by], actor="test")

    assert client.get(f"/orders/{order.ref}/").status_code == 404
    assert client.get(f"/api/orders/{order.ref}").status_code == 401


BAD = ["of another order", "expired", "nonsense", "a service's token", "a user's token"]


def bad(what: str, order: Order) -> str:
    match what:
        case "of another order":
            return access.issue_grant([an_order().ref])
        case "expired":
            return access.issue_grant([order.ref], timedelta(seconds=-1))
        case "a service's token":
            return access.issue_service_token("shop", ["orders:read"])
        case "a user's token":
            return access.issue_user_token(User.objects.create_superuser("rosa"))
    return what


@pytest.mark.parametrize("what", BAD)
def test_no_page_stands_at_an_address_with_a_grant_however_bad(what: str) -> None:
    order = an_order()
    client = Client()

    answer = client.get(f"/orders/{order.ref}/?utm_source=mail&grant={bad(what, order)}")

    said = {"utm_source": ["mail"]} | ({"link": ["expired"]} if what == "expired" else {})
    assert answer.status_code == 303
    assert urlsplit(answer["Location"]).path == f"/orders/{order.ref}/"
    assert parse_qs(urlsplit(answer["Location"]).query) == said
    assert cookies_of(client) == {}
    assert client.get(answer["Location"]).status_code == 404


@pytest.mark.parametrize("what", ["a service's token", "a user's token"])
def test_only_a_grant_counts_in_the_cookie(what: str) -> None:
    order = an_order()
    client = Client()
    for name in NAMES:
        client.cookies[name] = (
            bad(what, order) if name == NAMES[0] else client.cookies[NAMES[0]].value
        )

    assert client.get(f"/orders/{order.ref}/").status_code == 404
    assert client.get(f"/api/orders/{order.ref}").status_code == 401


def test_a_bad_link_leaves_the_cookie_of_a_good_one() -> None:
    order = an_order()
    client = opened(order)

    answer = client.get(f"/orders/{order.ref}/?grant={bad('expired', order)}")

    assert answer["Location"] == f"/orders/{order.ref}/"
    assert client.get(answer["Location"]).status_code == 200


def test_a_form_of_a_page_that_was_loaded_with_its_grant_still_pays_and_gets_the_cookie() -> None:
    order = an_order_that_is("paid")
    client = Client()

    answer = client.post(granted(order), follow=True)

    assert answer.status_code == 200
    assert len(cookies_of(client)) == 3


@pytest.mark.parametrize("origin", ["https://checkout.example.com", "null"])
def test_a_provider_that_sends_its_customer_back_by_post_leads_to_the_page(origin: str) -> None:
    """Without a cookie, which no browser sends along with a POST from another site."""
    order = an_order()
    client = Client(enforce_csrf_checks=True, headers={"Origin": origin})
    link = granted(order)

    answer = client.post(link, {"result": "ok"})

    assert (answer.status_code, answer["Location"]) == (303, link)
    assert client.get(link, follow=True).status_code == 200
    assert not order.payments.exists()


def test_the_cookie_reads_the_order_by_the_api_and_writes_nothing() -> None:
    order, other = an_order(), an_order()
    client = opened(order)

    def post(under: str) -> int:
        return client.post(f"/api/orders/{order.ref}/{under}", {}, "application/json").status_code

    assert client.get(f"/api/orders/{order.ref}").status_code == 200
    assert client.get(f"/api/orders/{order.ref}/events").status_code == 200
    assert client.get(f"/api/orders/{other.ref}").status_code == 404
    assert [post(under) for under in ("payments", "cancel", "refunds", "refresh")] == [403] * 4


def test_another_site_cannot_ride_on_the_cookie() -> None:
    client = opened(order := an_order())
    checked = Client(enforce_csrf_checks=True)
    checked.cookies = client.cookies

    answer = checked.post(f"/api/orders/{order.ref}/payments", {}, "application/json")

    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")


def test_who_is_logged_in_as_somebody_else_sees_the_order_of_the_link_too() -> None:
    order = an_order()
    own = an_order(customer_id=User.objects.create_user("owner").pk)
    client = Client()
    client.force_login(User.objects.get(username="owner"))

    client.get(granted(order))

    for ref in (order.ref, own.ref):
        assert client.get(f"/orders/{ref}/").status_code == 200
        assert client.get(f"/api/orders/{ref}").status_code == 200
    assert client.get(f"/api/orders/{an_order().ref}").status_code == 404


def test_a_log_in_that_is_offered_does_not_carry_the_grant_on() -> None:
    order = an_order()
    grant = access.issue_grant([order.ref], timedelta(seconds=-1))

    answer: Any = Client().get(f"/orders/{order.ref}/?grant={grant}", follow=True)

    assert "This link has expired" in shown_without_script(answer)
    assert grant not in text_of(answer)


def test_the_names_of_the_cookie_are_read_wherever_one_is_sent() -> None:
    assert [grant_cookie.in_cookies({name: "x"}) for name in NAMES] == ["x"] * 3
    assert grant_cookie.in_cookies({"sessionid": "x"}) == ""
