"""Hints as they travel: processes before and after a deploy read each other's."""

import json

import pytest

from realtime.pubsub.names import HINT, Hint, hint_message, hints_in, order_topic

REF = "0" * 32
SENT = Hint(REF, "spring", 7, '{"type":"event"}')


def test_a_hint_is_the_same_after_json() -> None:
    assert Hint.received(json.loads(json.dumps(SENT))) == SENT


def test_a_hint_travels_as_processes_before_it_read_it() -> None:
    topic = order_topic(REF)

    assert json.loads(json.dumps(SENT)) == [REF, "spring", 7, '{"type":"event"}']
    assert hint_message(topic, [SENT]) == {
        "type": HINT,
        "topic": topic,
        "events": [["spring", 7, '{"type":"event"}']],
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
