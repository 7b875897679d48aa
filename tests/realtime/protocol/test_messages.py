"""The wire format: what we write is what the models say, and what clients write is told apart in words."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from orders.domain.events import EventRecord
from realtime.protocol import messages
from realtime.protocol.messages import BadFrame, EventFrame, Synced, encode_event, encode_tail

REF = "0123456789abcdef" * 2


def record(version: int = 2) -> EventRecord:
    return EventRecord(
        order=REF, epoch="spring", version=version, type="payment.captured", state="paid",
        data={"payment": "p1", "amount": 1_000, "captured": 1_000},
        facts={"captured": 1_000}, source="callback", actor="house",
        at=datetime(2026, 11, 21, 9, 30, 0, 5, UTC),
    )  # fmt: skip


def test_an_event_is_encoded_as_its_model_says() -> None:
    frame = EventFrame.model_validate_json(encode_event(record()))

    assert json.loads(frame.encode()) == json.loads(encode_event(record()))
    assert (frame.id, frame.event, frame.state) == (f"{REF}:2", "payment.captured", "paid")
    assert "callback" not in encode_event(record()), "where it came from is not the customer's"


def test_a_tail_is_put_together_as_its_model_says() -> None:
    texts = [encode_event(record(version)) for version in (2, 3)]

    tail = Synced.model_validate_json(encode_tail(REF, "spring", 3, texts))
    current = Synced.model_validate_json(encode_tail(REF, "spring", 3, []))

    assert (tail.mode, [event.version for event in tail.events or []]) == ("tail", [2, 3])
    assert (current.mode, current.events) == ("current", None)


@given(st.one_of(st.text(max_size=200), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["type", "subscribe", "order", "token", "version", "hello", "ping"]) | st.text(max_size=5),
        inner, max_size=4),
).map(json.dumps)))  # fmt: skip
def test_whatever_a_client_says_is_a_frame_or_told_to_be_none(text: str) -> None:
    said = _what_it_is(text)

    assert said in {"hello", "subscribe", "unsubscribe", "refresh", "ping"} or " " in said


def _what_it_is(text: str) -> str:
    """The frame's type, or what was wrong with it."""
    try:
        return messages.parse_client_frame(text).type
    except BadFrame as wrong:
        return str(wrong)
