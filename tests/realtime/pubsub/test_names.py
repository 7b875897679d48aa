"""Hints as they travel: processes before and after a deploy read each other's."""

import json
from typing import Any

import pytest
from pytest_django import Settings

from realtime.pubsub.names import HINT, Hint, hint_message, hints_in, order_topic

REF = "0" * 32
SENT = Hint(REF, "spring", 7, '{"type":"event"}').signed()


def test_a_hint_is_the_same_after_json() -> None:
    assert Hint.received(json.loads(json.dumps(SENT))) == SENT


def test_a_hint_travels_as_processes_before_it_read_it() -> None:
    topic = order_topic(REF)

    assert json.loads(json.dumps(SENT)) == [REF, "spring", 7, '{"type":"event"}', SENT.signature]
    assert hint_message(topic, [SENT]) == {
        "type": HINT,
        "topic": topic,
        "events": [["spring", 7, '{"type":"event"}', SENT.signature]],
    }


def test_fields_of_a_later_version_are_left_out() -> None:
    message = {"topic": order_topic(REF), "events": [[*SENT[1:], "new"]]}

    assert Hint.received([*SENT, "new"]) == SENT
    assert hints_in(message) == (order_topic(REF), [SENT])


def test_a_malformed_message_is_an_error() -> None:
    for message in (
        {},
        {"topic": "order", "events": []},
        {"topic": "order:1", "events": [["spring"]]},
    ):
        with pytest.raises((LookupError, TypeError, ValueError)):
            hints_in(message)


def test_what_an_earlier_version_sent_has_no_signature() -> None:
    message = {"topic": order_topic(REF), "events": [["spring", 7, "{}"]]}

    assert [hint.is_genuine for hint in hints_in(message)[1]] == [False]


@pytest.mark.parametrize(
    "changed",
    [
        {"order": "1" * 32},
        {"epoch": "autumn"},
        {"version": 8},
        {"frame": '{"type":"evil"}'},
        {"signature": ""},
        {"signature": "\ud800"},
        {"signature": 7},
    ],
)
def test_a_hint_that_was_changed_on_its_way_is_not_genuine(changed: dict[str, Any]) -> None:
    assert SENT.is_genuine
    assert not SENT._replace(**changed).is_genuine


def test_another_secret_signs_otherwise(settings: Settings) -> None:
    settings.SECRET_KEY = "another-installation's"

    assert not SENT.is_genuine
