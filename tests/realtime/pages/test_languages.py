"""The pages in English, German, Simplified Chinese and Russian."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from orders.domain import money
from orders.domain.states import State
from realtime.pages import texts
from tests.builders import an_order, an_order_that_is
from tests.realtime.pages.reading import for_script, granted, page_of, shown_without_script, text_of

pytestmark = pytest.mark.usefixtures("database")

OTHERS = ("de", "ru", "zh-hans")
PAID = {
    "en": "Paid, thank you",
    "de": "Bezahlt – vielen Dank",
    "ru": "Оплачено, спасибо",
    "zh-hans": "已付款，谢谢",
}


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("zh-CN,zh;q=0.9", "zh-hans"),
        ("ru", "ru"),
        ("fr,ru;q=0.3", "ru"),
        ("fr", "en"),
        ("", "en"),
    ],
)
def test_a_page_is_in_the_language_that_the_browser_asks_for(asked: str, language: str) -> None:
    order = an_order_that_is("paid")

    answer = page_of(order, asked)

    assert f'<h1 id="headline" data-headline>{PAID[language]}</h1>' in text_of(answer)
    assert f'<html lang="{language}" dir="ltr">' in text_of(answer)
    assert answer["Content-Language"] == language
    assert {"Accept-Language", "Cookie"} <= set(answer["Vary"].split(", "))


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("state", list(State))
def test_each_state_is_said_in_each_language(state: State, language: str) -> None:
    order = an_order_that_is(state)
    with translation.override("en"):
        english = str(texts.STATES[state].next)

    shown = shown_without_script(page_of(order, language))

    with translation.override(language):
        assert str(texts.STATES[state].headline) in shown
        assert str(texts.STATES[state].next) in shown
    assert english not in shown


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("under", ["", "receipt/"])
def test_nothing_on_a_page_is_left_in_english(language: str, under: str) -> None:
    order = an_order_that_is("partially_refunded")

    english, other = (texts_of(page_of(order, each, under)) for each in ("en", language))

    same = {text for text in english & other if re.search("[A-Za-z]{2}", text)}
    assert same <= {"Ordercast", "English", "Deutsch", "Live", "Bank", order.ref}


def texts_of(answer: Any) -> set[str]:
    """Every piece of text between two tags."""
    html = re.sub(r"<(script|noscript).*?</\1>", "", text_of(answer), flags=re.DOTALL)
    return {" ".join(text.split()) for text in re.split("<[^>]+>", html)}


def test_the_script_gets_the_words_and_the_spelling_of_the_pages_language() -> None:
    order = an_order_that_is("processing")

    page = for_script(page_of(order, "de"))

    assert page["states"]["paid"]["headline"] == PAID["de"]
    assert page["events"]["order.created"]["title"] == "Bestellung aufgegeben"
    assert page["money"] == {
        "digits": 2, "decimal": ",", "group": ".", "before": "", "after": "\xa0€",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", ["€1,234,567.89", "¥1,250", "CNY\xa01.00", "RUB\xa01.00", "KWD\xa01.250", "$1.00"]),
        ("de", ["1.234.567,89\xa0€", "1.250\xa0¥", "1,00\xa0CNY", "1,00\xa0RUB", "1,250\xa0KWD", "1,00\xa0$"]),
        (
            "ru",
            ["1\xa0234\xa0567,89\xa0€", "1\xa0250\xa0JPY", "1,00\xa0CNY", "1,00\xa0₽", "1,250\xa0KWD", "1,00\xa0$"],
        ),
        # In China ¥ is the yuan: a yen is written with its code.
        ("zh-hans", ["€1,234,567.89", "JPY\xa01,250", "¥1.00", "RUB\xa01.00", "KWD\xa01.250", "US$1.00"]),
    ],
)  # fmt: skip
def test_money_is_written_as_the_language_writes_it(language: str, written: list[str]) -> None:
    sums = [
        (123_456_789, "EUR"), (1_250, "JPY"), (100, "CNY"), (100, "RUB"), (1_250, "KWD"), (100, "USD"),
    ]  # fmt: skip

    with translation.override(language):
        found = [money.written(*each) for each in sums]

    assert found == written


@pytest.mark.parametrize(
    ("language", "like"),
    [
        ("en", r"\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC"),
        ("de", r"\d{1,2}\. \w{3,4}\.? \d{4}, \d\d:\d\d UTC"),
        ("ru", r"\d{1,2} [а-я]+ \d{4}, \d\d:\d\d UTC"),
        ("zh-hans", r"\d{4}年\d{1,2}月\d{1,2}日 \d\d:\d\d UTC"),
    ],
)
def test_times_are_written_as_the_language_writes_them(language: str, like: str) -> None:
    shown = shown_without_script(page_of(an_order(), language))

    assert re.search(like, shown)


def test_the_switch_in_the_footer_stays_on_the_page_and_wins_over_the_browser() -> None:
    client = Client(headers={"Accept-Language": "de"})
    here = client.get(granted(an_order_that_is("paid")))["Location"]

    switched = client.post("/language/", {"language": "ru", "next": here})
    page = client.get(here)

    assert (switched.status_code, switched["Location"]) == (302, here)
    assert PAID["ru"] in text_of(page)
    assert f'name="next" value="{here}"' in text_of(page)


def test_the_switch_offers_each_language_in_its_own_words() -> None:
    html = text_of(Client().get("/", headers={"Accept-Language": "ru"}))

    buttons = re.findall(r'<button class="link" name="language".*?</button>', html)
    assert [re.sub("<.*?>", "", button) for button in buttons] == [
        "English", "Deutsch", "简体中文", "Русский",
    ]  # fmt: skip
    assert [button for button in buttons if "aria-current" in button] == [buttons[3]]


def test_the_switch_leads_to_no_other_site_and_takes_no_other_language() -> None:
    client = Client()

    away = client.post("/language/", {"language": "de", "next": "https://evil.example/"})
    client.post("/language/", {"language": "xx", "next": "/"})

    assert away["Location"] == "/"
    assert client.get("/")["Content-Language"] == "de"


def test_what_machines_read_stays_english_and_does_not_vary_by_language() -> None:
    answer = Client().get("/api/orders/nothing", headers={"Accept-Language": "de"})

    assert "Content-Language" not in answer
    assert "Accept-Language" not in answer.get("Vary", "")


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "User name or password is incorrect."),
        ("de", "Benutzername oder Passwort ist falsch."),
        ("ru", "Неверное имя пользователя или пароль."),
        ("zh-hans", "用户名或密码不正确"),
    ],
)
def test_a_wrong_password_is_said_in_the_readers_language(language: str, said: str) -> None:
    User.objects.create_user("owner", password="open sesame")
    client = Client(headers={"Accept-Language": language})

    answer = client.post("/login/", {"username": "owner", "password": "open barley"})

    assert said in shown_without_script(answer)


@pytest.mark.parametrize(
    ("seconds", "said"), [(1, "1 секунду"), (2, "2 секунды"), (5, "5 секунд"), (21, "21 секунду")]
)
def test_russian_counts_as_russians_do(seconds: int, said: str) -> None:
    with translation.override("ru"):
        page = render_to_string("realtime/too_many.html", {"seconds": seconds})

    assert f"Подождите {said} и попробуйте" in page


def test_too_many_tries_to_log_in_are_refused_in_the_readers_language(
    settings: Settings, valkey: Any
) -> None:
    settings.ORDERCAST_LIMITS = {**settings.ORDERCAST_LIMITS, "login": "1/hour"}
    client = Client(headers={"Accept-Language": "de"})
    form = {"username": "owner", "password": "open barley"}
    client.post("/login/", form)

    answer = client.post("/login/", form)

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert "Zu viele Versuche" in shown_without_script(answer)
