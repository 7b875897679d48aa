"""Secrets and card data are not kept, and what a text is about still is."""

import json

import pytest

from orders import access
from orders.security.redaction import GONE, is_card_number, redact

SECRETS = {
    "a card number": '{"number": "4242424242424242"}',
    "a grouped one": "paid with 4242 4242 4242 4242 yesterday",
    "one with dashes": "4012-8888-8888-1881",
    "an American Express": "378282246310005",
    "as a number": '{"n": 5555555555554444}',
    "a CVV": '{"cvv": "737"}',
    "a CVV as a number": '{"CVC": 737}',
    "a password": '{"password": "737-hunter2"}',
    "with an escape": r'{"client_secret": "737\"more"}',
    "a bearer": "Authorization: Bearer 737abcdef0123",
    "a key": "sk_live_737abcdef0123",
    "in an address": "GET /ws/orders/?token=737abc&version=3",
    "a grant in one": "/orders/x/?grant=737abc",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_is_taken_out(text: str) -> None:
    kept = redact(text)

    assert GONE in kept
    assert not any(part in kept for part in ("4242", "8888", "2822", "5555", "737"))


def test_a_token_of_ours_is_taken_out_wherever_it_stands() -> None:
    grant = access.issue_grant(["a" * 32])

    assert redact(f"opened {grant} again") == f"opened {GONE} again"


PLAIN = [
    '{"id": "evt_4242424242424242", "amount": 1250, "at": 1763712000000}',
    "order 42424242424242424242424242424242 moved",
    "4242424242424241 is no card",
    '{"tokens": 3, "panel": "left", "pinned": true}',
    '{"a": "\\u0000 \\ud800", "b": [1, 2.5e10]}',
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_what_is_left_of_a_payload_is_still_json() -> None:
    payload = {"cvv": 123, "card": {"number": "4242424242424242", "token": 'tok_1"2'}, "amount": 5}

    assert json.loads(redact(json.dumps(payload))) == {
        "cvv": GONE, "card": {"number": GONE, "token": GONE}, "amount": 5
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "is_card"), [("4242424242424242", True), ("4242424242424243", False)]
)
def test_luhn(number: str, is_card: bool) -> None:
    assert is_card_number(number) is is_card
