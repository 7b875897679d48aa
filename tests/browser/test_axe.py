"""That axe is really asked: a page with known faults is found out, each where it can be seen."""

import pytest

from tests.browser.axe import violations
from tests.browser.conftest import Reader

pytestmark = pytest.mark.browser

SOUND = """<!doctype html><html lang="en"><title>Sound</title>
<style>@media (prefers-color-scheme: dark) { body { background: #111; color: #fff } .faint { color: %s } }</style>
<main><h1>Sound</h1><p class="faint">Words</p>%s</main></html>"""


def test_a_sound_page_has_no_violations(reader: Reader) -> None:
    page = reader.open("about:blank")
    page.set_content(SOUND % ("#fff", ""))

    assert violations(page) == []


def test_what_is_wrong_in_the_dark_only_is_found_and_named(reader: Reader) -> None:
    page = reader.open("about:blank")
    page.set_content(SOUND % ("#333", ""))

    found = violations(page, widths=[320])

    assert len(found) == 1
    assert found[0].startswith("dark, 320 px: color-contrast (serious)")
    assert 'class="faint"' in found[0]


def test_a_fault_within_a_shadow_root_is_found(reader: Reader) -> None:
    page = reader.open("about:blank")
    page.set_content(SOUND % ("#fff", "<div id='host'></div>"))
    page.evaluate("host.attachShadow({mode: 'open'}).innerHTML = '<button></button>'")

    assert ["button-name" in each for each in violations(page, widths=[1280])] == [True, True]


def test_the_page_has_its_size_and_colours_back(reader: Reader) -> None:
    page = reader.open("about:blank")
    page.set_content(SOUND % ("#fff", ""))
    before = page.viewport_size

    violations(page)

    assert page.viewport_size == before
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is False
