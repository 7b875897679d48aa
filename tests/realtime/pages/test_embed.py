"""What a shop's page asks for besides the streams: words for its elements, which are nobody's secret."""

from dataclasses import asdict

from django.test import Client
from django.utils import translation
from pytest_django import Settings

from orders.domain import money
from realtime.pages import texts


def test_elements_get_the_same_words_as_the_pages() -> None:
    found = Client().get("/api/words", {"lang": "en", "currency": "KWD"}).json()

    assert found["states"].keys() == texts.SHOWN.keys()
    for name, says in texts.SHOWN.items():
        assert found["states"][name]["headline"] == str(says.headline)
    assert found["steps"] == [str(step) for step in texts.STEPS]
    assert found["connection"] == {name: str(says) for name, says in texts.CONNECTION.items()}
    assert found["money"] == asdict(money.spelling("KWD"))
    assert (found["lang"], found["dir"]) == ("en", "ltr")


def test_words_come_in_the_language_nearest_to_the_one_asked_for() -> None:
    def spoken(lang: str) -> str:
        found: str = Client().get("/api/words", {"lang": lang}).json()["lang"]
        return found

    asked = ["de-AT", "ru", "zh-CN", "tlh", "", "../../etc", "x" * 600]
    assert [spoken(lang) for lang in asked] == ["de", "ru", "zh-hans", "en", "en", "en", "en"]


def test_what_the_reader_prefers_changes_nothing_about_words_that_a_page_asks_for() -> None:
    german = Client(headers={"Accept-Language": "de"})

    answer = german.get("/api/words", {"lang": "ru"})

    with translation.override("ru"):
        assert answer.json()["progress"] == translation.gettext("Progress")
    assert answer["Cache-Control"] == "public, max-age=3600"
    assert "Cookie" not in answer.get("Vary", "")


def test_a_currency_that_makes_no_sense_is_left_out() -> None:
    for nonsense in ("", "eur", "EURO", "€", "E" * 500):
        assert "money" not in Client().get("/api/words", {"currency": nonsense}).json()


def test_outside_the_demo_there_is_no_example_that_hands_out_grants(settings: Settings) -> None:
    settings.ORDERCAST_DEMO = False

    assert Client().get("/embed/").status_code == 404


def test_a_site_that_is_not_named_may_read_why_and_nothing_else(settings: Settings) -> None:
    settings.ORDERCAST_ORIGINS = ["https://shop.example.com"]

    answer = Client(headers={"Origin": "https://other.example.com"}).get(
        "/api/words", {"lang": "de"}
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert "ORDERCAST_ORIGINS" in answer.json()["detail"]
    assert "https://other.example.com" in answer.json()["detail"]
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "states" not in answer.json()
    named = Client(headers={"Origin": "https://shop.example.com"}).get("/api/words")
    assert named.status_code == 200
