"""Nobody writes a line of the log but the process, and no field of a line can be read as another."""

import json
import logging
from typing import Any

import pytest
import structlog

from backend.observability import log_text, logging_config
from realtime.access.log_redaction import RedactTokens

FORGED = "x\nINFO orders.security.audit: payment.refund done actor=admin"
BREAKS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1b[2K", "\x85", "\u2028", "\u2029", "\u202e", "\x00"]  # fmt: skip


def line(style: str, message: str, *args: object, error: bool = False, **fields: Any) -> str:
    made = logging.LogRecord("django.request", logging.WARNING, __file__, 1, message, args, None)
    if error:
        made.exc_info = (ValueError, ValueError(FORGED), None)
    with structlog.contextvars.bound_contextvars(**fields):
        return logging_config.formatter(style).format(made)


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("sign", BREAKS, ids=repr)
def test_what_a_stranger_wrote_stays_in_the_line_that_it_stands_in(style: str, sign: str) -> None:
    made = line(style, "Not Found: %s", f"/a{sign}b", address=f"c{sign}d", request_id=f"e{sign}f")

    assert made.isprintable()


def test_a_field_cannot_be_read_as_another() -> None:
    made = line("text", "refused", reason='late actor=admin source="staff"', actor="")

    assert r' reason="late actor=admin source=\"staff\""' in made
    assert " actor=" in made.replace("late actor=admin", "")


def test_no_line_of_an_errors_words_looks_like_one_of_the_log() -> None:
    first, *others = line("text", "failed", error=True).split("\n")

    assert first == "WARNING django.request: failed"
    assert "actor=admin" in others[-1]
    assert all(each.startswith("    ") and each.isprintable() for each in others)


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_is_too_long_to_read_is_not_searched_for_secrets(
    style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []

    def search(text: str) -> str:
        searched.append(text)
        return text

    monkeypatch.setattr(log_text, "redact", search)

    line(style, "Not Found: %s", "eyJ-" * 20_000, address="eyJ-" * 20_000)

    assert searched
    assert max(map(len, searched)) < 2 * log_text.MAX_MESSAGE


def test_secrets_are_found_in_every_kind_of_field() -> None:
    made = line("json", "x", one={"note": "Bearer abcdef012345"}, two=["token=abcdef", 3, None])

    assert "abcdef" not in made
    assert json.loads(made)["two"] == ["token=[redacted]", 3, None]


@pytest.mark.parametrize("how", ["[accepted]", "403", "429"])
def test_a_line_about_a_handshake_has_no_query(how: str) -> None:
    message = f'%s - "WebSocket %s" {how}'
    address = "/ws/orders/?token=abc&x=eyJ-eyJ-"
    made = logging.LogRecord(
        "uvicorn.error", logging.INFO, "", 1, message, ("1.2.3.4:5", address), None
    )

    RedactTokens().filter(made)

    assert made.getMessage() == f'1.2.3.4:5 - "WebSocket /ws/orders/" {how}'
