"""No text that a stranger sends makes a regular expression of the project work out of proportion."""

import re
from collections.abc import Callable

import pytest

from orders.api import strict_json
from orders.security.redaction import redact
from realtime.access.log_redaction import redacted
from tests import patterns

HOSTILE = [
    ("", "eyJ-"),
    ("", "eyJaaaaa."),
    ("", "eyJaaaaa.eyJaaaaa"),
    ("eyJaaaaa.", "a"),
    ('{"token":"', '\\"'),
    ('"token"', " "),
    ("", '"token" '),
    ("", "token="),
    ("", "bearer "),
    ("bearer", " "),
    ("", "sk_live_"),
    ("", "4 "),
    ("", "4-"),
    ("", "4242"),
    ("", '"\\'),
    ("[", '"\\"'),
]


def test_every_pattern_of_the_project_takes_time_in_proportion_to_its_text() -> None:
    found = patterns.patterns()
    slow = {name: patterns.slow_text(each) for name, each in found.items()}

    assert {name: text for name, text in slow.items() if text} == {}
    assert {"orders.security.redaction._JWT", "realtime.pubsub.names._REF"} <= found.keys()
    assert any(name.startswith("orders.payments.signatures:") for name in found)  # in a function


@pytest.mark.parametrize("work", [redact, redacted, strict_json._check_depth])
def test_what_looks_through_texts_of_strangers_does_too(work: Callable[[str], object]) -> None:
    assert patterns.slow_part(_without_refusal(work), HOSTILE) is None


@pytest.mark.parametrize(
    "source",
    [
        r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*",
        r"[a0]+;",
    ],
)
def test_one_that_does_not_is_found(source: str) -> None:
    assert patterns.slow_text(re.compile(source)) is not None


def _without_refusal(work: Callable[[str], object]) -> Callable[[str], None]:
    def tried(text: str) -> None:
        try:
            work(text)
        except ValueError:
            return

    return tried
