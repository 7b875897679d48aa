"""`locale/` keeps up with the code: nobody meets a text in another language than the page's."""

import gettext
import re
from io import BytesIO
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message

from tests import catalogues

# What a translation must hand on: {sign}, %(seconds)s, %s.
_FIELD = re.compile(r"\{\w*\}|%\(\w+\)[sd]|%[sd]")


@pytest.fixture(scope="module")
def marked() -> Catalog:
    return catalogues.marked()


def key(message: Message) -> tuple[str | None, str]:
    return message.context, str(message.id)


def fields(text: Any) -> set[str]:
    forms = text if isinstance(text, list | tuple) else (text,)
    return {field for form in forms for field in _FIELD.findall(form)}


def contents(mo: bytes) -> dict[Any, str]:
    """What a compiled catalogue says, without the header that names its maker."""
    with BytesIO(mo) as file:
        texts: dict[Any, str] = dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]
    texts.pop("")
    return texts


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_every_marked_text_is_translated_and_nothing_else_is(
    language: str, marked: Catalog
) -> None:
    held = catalogues.read(language)

    wanted = {key(message) for message in catalogues.messages(marked)}
    translated = {
        key(message) for message in catalogues.messages(held) if catalogues.is_translated(message)
    }

    assert sorted(wanted - translated, key=str) == [], "run `make messages`, and translate"
    assert sorted(translated - wanted, key=str) == [], "run `make messages`"


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_a_translation_fills_in_what_the_text_fills_in(language: str) -> None:
    held = catalogues.read(language)

    wrong = [
        message.id
        for message in catalogues.messages(held)
        if catalogues.is_translated(message) and fields(message.string) != fields(message.id)
    ]

    assert wrong == []


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_what_django_reads_was_compiled_from_what_people_edit(language: str) -> None:
    held = catalogues.read(language)

    compiled = catalogues.file_of(language, "mo").read_bytes()

    assert contents(compiled) == contents(catalogues.compiled(held)), "run `make messages`"


def test_a_template_and_code_are_both_looked_through(marked: Catalog) -> None:
    texts = {str(message.id) for message in catalogues.messages(marked)}

    assert "What has happened" in texts  # in templates alone
    assert "Confirming with your bank" in texts  # in code alone
