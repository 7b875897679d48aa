"""The way back from the checkout: a code in the provider's `return_url` that is good once, and for an hour."""

from collections import Counter
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from orders import access
from orders.access import return_codes, revocation
from orders.commands import provider_calls
from orders.models import Order, Payment, ReturnCode
from tests.builders import a_payment, an_order, at_once
from tests.orders.talking import start
from tests.realtime.pages.reading import granted, shown_without_script
from tests.sandbox import SandboxProcess
from tests.workers.conftest import provider, provider_process

__all__ = ["provider", "provider_process"]
pytestmark = pytest.mark.usefixtures("database")


def paying(order: Order) -> Client:
    """A guest who has pressed Pay on the order's page."""
    client = Client()
    client.get(granted(order))
    client.post(f"/orders/{order.ref}/")
    return client


def the_way_back(order: Order) -> str:
    """What the provider was told, as a path."""
    url = urlsplit(provider_calls.create_request(Payment.objects.get(order=order)).return_url)
    return f"{url.path}?{url.query}"


def seen_by(client: Client, address: str) -> int:
    return client.get(address, follow=True).status_code


@pytest.fixture
def order(provider: SandboxProcess) -> Order:
    return an_order()


def test_the_provider_is_told_a_code_and_no_grant(provider: SandboxProcess, order: Order) -> None:
    paying(order)

    theirs = httpx.get(
        f"{provider.url}/payments/{order.payments.get().provider_ref}",
        headers={"Authorization": f"Bearer {provider.key}"},
        trust_env=False,
    ).text

    told = provider_calls.create_request(order.payments.get()).return_url
    assert list(parse_qs(urlsplit(told).query)) == ["return_code"]
    assert "eyJ" not in theirs
    assert "grant" not in theirs


def test_the_code_shows_the_order_in_a_browser_that_has_nothing_and_its_address_is_clean(
    order: Order,
) -> None:
    paying(order)
    back = Client()

    answer = back.get(the_way_back(order))

    assert (answer.status_code, answer["Location"]) == (303, f"/orders/{order.ref}/")
    assert seen_by(back, f"/orders/{order.ref}/") == 200


def test_the_code_is_good_once_and_who_comes_second_is_told_what_to_do(order: Order) -> None:
    paying(order)
    assert seen_by(Client(), the_way_back(order)) == 200

    answer = Client().get(the_way_back(order), follow=True)

    assert answer.status_code == 404
    assert answer.redirect_chain == [(f"/orders/{order.ref}/?link=used", 303)]
    assert "Reopen the link the shop sent you" in shown_without_script(answer)


def test_the_browser_that_began_to_pay_needs_no_code(order: Order) -> None:
    client = paying(order)
    seen_by(Client(), the_way_back(order))

    answer = client.get(the_way_back(order), follow=True)

    assert answer.status_code == 200
    assert answer.redirect_chain == [(f"/orders/{order.ref}/", 303)]


def test_of_two_at_once_one_gets_in(order: Order) -> None:
    paying(order)
    address = the_way_back(order)

    found = at_once(*[lambda: seen_by(Client(), address)] * 4)

    assert Counter(found) == {200: 1, 404: 3}


def test_after_an_hour_it_is_late_and_each_press_of_pay_gives_another(order: Order) -> None:
    client = paying(order)
    ReturnCode.objects.update(good_until=timezone.now() - timedelta(seconds=1))
    assert seen_by(Client(), the_way_back(order)) == 404

    client.post(f"/orders/{order.ref}/")

    left = ReturnCode.objects.get().good_until - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert seen_by(Client(), the_way_back(order)) == 200


def test_a_used_code_is_not_good_again_by_another_press(order: Order) -> None:
    client = paying(order)
    seen_by(Client(), the_way_back(order))

    client.post(f"/orders/{order.ref}/")

    assert seen_by(Client(), the_way_back(order)) == 404


@pytest.mark.parametrize("by", ["token", "order"])
def test_what_revokes_the_grant_that_paid_revokes_the_way_back(order: Order, by: str) -> None:
    grant = access.issue_grant([order.ref])
    client = Client()
    client.get(f"/orders/{order.ref}/?grant={grant}")
    client.post(f"/orders/{order.ref}/")
    names = {
        "token": revocation.token_of(access.read_token(grant)),
        "order": revocation.order(order.ref),
    }

    access.revoke(names[by], actor="test")

    assert seen_by(Client(), the_way_back(order)) == 404


def test_the_way_back_lasts_no_longer_than_the_grant_that_paid(order: Order) -> None:
    grant = access.issue_grant([order.ref], timedelta(minutes=5))
    client = Client()
    client.get(f"/orders/{order.ref}/?grant={grant}")
    client.post(f"/orders/{order.ref}/")
    back = Client()

    seen_by(back, the_way_back(order))

    assert back.cookies["ordercast_grant"]["max-age"] <= 300


def test_a_code_is_good_for_its_own_order(order: Order) -> None:
    paying(order)
    other = an_order()

    address = the_way_back(order).replace(order.ref, other.ref)

    assert seen_by(Client(), address) == 404
    assert seen_by(Client(), the_way_back(order)) == 200


@pytest.mark.parametrize("code", ["", "x", "\x00", "%ff", "a" * 10_000])
def test_nonsense_is_no_code(order: Order, code: str) -> None:
    paying(order)

    assert (
        Client().get(f"/orders/{order.ref}/", {"return_code": code}, follow=True).status_code == 404
    )


def test_the_code_itself_is_kept_nowhere(order: Order) -> None:
    paying(order)
    code = parse_qs(urlsplit(the_way_back(order)).query)["return_code"][0]

    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(r::text, ' ') FROM orders_returncode r")
        codes = cursor.fetchone()[0]
        cursor.execute("SELECT string_agg(p::text, ' ') FROM orders_payment p")
        payments = cursor.fetchone()[0]

    assert code not in codes + payments
    assert "eyJ" not in payments


def test_a_call_that_is_repeated_says_the_same_also_after_the_keys_were_rotated(
    order: Order, settings: Settings
) -> None:
    settings.ORDERCAST_TOKEN_KEYS = ["one-secret-of-this-test-that-is-32-characters-long"]
    payment = start(order)
    first = return_codes.return_url(payment)

    settings.ORDERCAST_TOKEN_KEYS = ["another-secret-of-this-test-that-is-long-enough",
                                     *settings.ORDERCAST_TOKEN_KEYS]  # fmt: skip

    assert return_codes.return_url(payment) == first
    assert seen_by(Client(), the_way_back(order)) == 200


def test_the_shops_own_address_is_told_as_it_is(order: Order) -> None:
    payment = start(order, return_url="https://shop.example.com/thanks?id=7")

    told = provider_calls.create_request(payment).return_url

    assert told == "https://shop.example.com/thanks?id=7"
    assert not ReturnCode.objects.exists()


def test_who_is_logged_in_comes_back_as_such_and_without_a_code(
    provider: SandboxProcess, order: Order
) -> None:
    user = User.objects.create_user("owner")
    Order.objects.filter(pk=order.pk).update(customer_id=user.pk)
    client = Client()
    client.force_login(user)

    client.post(f"/orders/{order.ref}/")

    assert the_way_back(order).endswith("?")
    assert not ReturnCode.objects.exists()


def test_old_rows_go_as_new_ones_come() -> None:
    long_ago = timezone.now() - timedelta(days=31)
    for number in range(25):
        ReturnCode.objects.create(
            payment=a_payment(an_order(), "pending"), code_hash=f"{number}", good_until=long_ago
        )

    with transaction.atomic():
        return_codes.issue(a_payment(an_order(), "pending"), None)

    assert ReturnCode.objects.count() == 6
