"""Pages are counted by address, and tries to log in by address and by account; an account's owner is not locked out."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from backend.http import login_throttle
from orders import access
from tests.builders import an_order

LOGIN_PATHS = ["/login/", "/admin/login/"]
PASSWORD = "a-long-enough-one"


def an_address() -> str:
    """Of somebody who has not come before."""
    return f"2001:db8:{os.urandom(2).hex()}:{os.urandom(2).hex()}::1"


@pytest.fixture
def limited(settings: Settings, database: None, valkey: Any) -> Callable[..., None]:
    def limit(**rates: str) -> None:
        settings.ORDERCAST_LIMITS = {**settings.ORDERCAST_LIMITS, **rates}

    return limit


class TestPages:
    @pytest.mark.parametrize(
        "path",
        ["/", "/login/", "/orders/", f"/orders/{'a' * 32}/", f"/orders/{'a' * 32}/?grant=nonsense",
         f"/orders/{'a' * 32}/receipt/", "/nowhere", "/admin/", "/board/", "/embed/", "/api/words", "/api/docs"],
    )  # fmt: skip
    def test_each_is_counted_by_address(self, limited: Callable[..., None], path: str) -> None:
        limited(page="2/minute")
        asked = Client(REMOTE_ADDR=an_address())

        answers = [asked.get(path) for _ in range(3)]

        assert 429 not in {each.status_code for each in answers[:2]}
        assert answers[2].status_code == 429
        assert 1 <= int(answers[2]["Retry-After"]) <= 60
        assert Client(REMOTE_ADDR=an_address()).get(path).status_code != 429

    def test_a_link_that_is_no_good_is_counted_with_those_that_are(
        self, limited: Callable[..., None]
    ) -> None:
        limited(page="3/minute")
        order = an_order()
        asked, good = Client(REMOTE_ADDR=an_address()), access.issue_grant([order.ref])

        answers = [
            asked.get(f"/orders/{order.ref}/", {"grant": grant}).status_code
            for grant in ("x", f"{good}x", "eyJ-" * 100, good)
        ]

        assert answers == [303, 303, 303, 429]  # each on to an address without the secret

    @pytest.mark.parametrize("path", ["/health/live", "/static/realtime/pages.css"])
    def test_what_costs_next_to_nothing_is_not(
        self, limited: Callable[..., None], path: str
    ) -> None:
        limited(page="1/minute")
        asked = Client(REMOTE_ADDR=an_address())

        assert [asked.get(path).status_code for _ in range(3)] == [200] * 3


class TestLogins:
    def guess(self, username: str, path: str = "/login/", client: Client | None = None) -> int:
        client = client or Client()
        guess = {"username": username, "password": "a"}
        return client.post(path, guess, REMOTE_ADDR=an_address()).status_code

    @pytest.mark.parametrize("path", LOGIN_PATHS)
    def test_passwords_cannot_be_guessed_quickly(
        self, limited: Callable[..., None], path: str
    ) -> None:
        limited(login="2/minute")
        address = an_address()

        tries = [
            Client(REMOTE_ADDR=address).post(path, {"username": name, "password": "a"})
            for name in ("rosa", "ada", "emmy")
        ]

        assert [each.status_code for each in tries] == [200, 200, 429]

    @pytest.mark.parametrize("path", LOGIN_PATHS)
    def test_nor_those_of_one_account_from_many_addresses(
        self, limited: Callable[..., None], path: str
    ) -> None:
        limited(account="2/minute")

        tries = [self.guess(name, path) for name in ("rosa", " ROSA ", "ｒｏｓａ", "ada")]

        assert tries == [200, 200, 429, 200]

    @pytest.mark.parametrize("path", LOGIN_PATHS)
    def test_its_owner_gets_in_all_the_same_with_a_browser_that_is_known(
        self, limited: Callable[..., None], user: Callable[..., Any], path: str
    ) -> None:
        user("rosa", is_staff=True)
        browser, right = Client(), {"username": "rosa", "password": PASSWORD}
        assert browser.post(path, right, REMOTE_ADDR=an_address()).status_code == 302
        limited(account="2/minute")
        assert [self.guess("rosa") for _ in range(4)][-1] == 429

        browser.cookies.pop("sessionid")

        assert browser.post(path, right, REMOTE_ADDR=an_address()).status_code == 302
        assert Client().post(path, right, REMOTE_ADDR=an_address()).status_code == 429

    def test_a_browser_that_is_known_has_a_budget_as_well_and_for_its_account_alone(
        self, limited: Callable[..., None], user: Callable[..., Any]
    ) -> None:
        user("rosa")
        browser = Client()
        browser.post("/login/", {"username": "rosa", "password": PASSWORD})
        browser.cookies.pop("sessionid")
        limited(account="2/minute")

        assert [self.guess("rosa", client=browser) for _ in range(3)] == [200, 200, 429]
        assert [self.guess("ada") for _ in range(2)] == [200, 200]
        assert self.guess("ada", client=browser) == 429

    def test_a_cookie_that_somebody_made_is_no_browser_that_is_known(
        self, limited: Callable[..., None], user: Callable[..., Any]
    ) -> None:
        user("rosa")
        known = Client()
        known.post("/login/", {"username": "rosa", "password": PASSWORD})
        value = known.cookies[login_throttle.DEVICE].value
        limited(account="1/minute")
        assert self.guess("rosa") == 200

        for forged in (value[:-1], f"{value}x", "nonsense", "W10:1:x"):
            browser = Client()
            browser.cookies[login_throttle.DEVICE] = forged
            assert self.guess("rosa", client=browser) == 429

    def test_the_cookie_is_set_by_a_log_in_alone_and_read_by_the_server_alone(
        self, user: Callable[..., Any]
    ) -> None:
        user("rosa")
        browser = Client()
        assert self.guess("rosa", client=browser) == 200
        assert login_throttle.DEVICE not in browser.cookies

        browser.post("/login/", {"username": "rosa", "password": PASSWORD})

        cookie = browser.cookies[login_throttle.DEVICE]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert "rosa" not in cookie.value
