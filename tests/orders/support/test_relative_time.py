"""Spans of time as one phrase, whole units only."""

from datetime import timedelta

import pytest
from django.utils import translation

from orders.support.relative_time import ago, ahead


@pytest.mark.parametrize(
    ("seconds", "past", "future"),
    [
        (-3, "just now", "now"),
        (0.9, "just now", "now"),
        (1, "1 second ago", "in 1 second"),
        (52.9, "52 seconds ago", "in 52 seconds"),
        (60, "1 minute ago", "in 1 minute"),
        (3_599, "59 minutes ago", "in 59 minutes"),
        (7_200, "2 hours ago", "in 2 hours"),
        (40 * 86_400, "40 days ago", "in 40 days"),
    ],
)
def test_the_largest_whole_unit_is_named(seconds: float, past: str, future: str) -> None:
    span = timedelta(seconds=seconds)

    assert (ago(span), ahead(span)) == (past, future)


@pytest.mark.parametrize(
    ("language", "past", "future"),
    [
        ("de", "vor 2 Tagen", "in 52 Sekunden"),
        ("ru", "2 дня назад", "через 52 секунды"),
        ("zh-hans", "2 天前", "52 秒后"),
    ],
)
def test_languages_inflect_it(language: str, past: str, future: str) -> None:
    with translation.override(language):
        assert (ago(timedelta(days=2)), ahead(timedelta(seconds=52))) == (past, future)
