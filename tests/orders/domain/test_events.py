"""How events are stored: explicit names, schemas, upcasters, and nothing guessed."""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.domain import event_registry, projection
from orders.domain.errors import UnknownEvent
from orders.domain.event_registry import register
from orders.domain.events import Event, EventRecord, decode, encode, registered, upcast, upcaster

# What stands in databases already: a name taken away or changed here makes old journals unreadable.
STORED_NAMES = {
    "order": "cancellation_requested cancelled conflict created expired flagged late_payment_accepted review_cleared",
    "payment": "authorised captured captured_late failed processing started",
    "refund": "changed failed requested",
    "dispute": "lost opened won",
}

_text = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES: dict[object, st.SearchStrategy[Any]] = {
    str: _text,
    int: st.integers(min_value=0, max_value=10**15),
    bool: st.booleans(),
    str | None: st.none() | _text,
    list[str]: st.lists(_text),
}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry, as it was before once the test is over."""
    monkeypatch.setattr(event_registry, "_registry", dict(event_registry._registry))
    monkeypatch.setattr(event_registry, "_upcasters", dict(event_registry._upcasters))


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    cls = draw(st.sampled_from(list(registered().values())))
    return cls(**{f.name: draw(_VALUES[f.type]) for f in fields(cls)})


@given(any_event())
def test_an_event_survives_storage_unchanged(event: Event) -> None:
    stored = json.loads(json.dumps(encode(event)))

    assert decode(event.type, event.schema, stored) == event


def test_the_stored_names_are_these() -> None:
    names = [f"{about}.{name}" for about, names in STORED_NAMES.items() for name in names.split()]
    assert sorted(registered()) == sorted(names)


def test_every_registered_event_has_a_rule_in_the_projection() -> None:
    assert set(projection._RULES) == set(registered().values())


def test_public_fields_are_fields() -> None:
    unknown = {
        name: set(cls.public) - {f.name for f in fields(cls)} for name, cls in registered().items()
    }

    assert not any(unknown.values()), unknown


def test_an_unknown_type_is_an_error_that_names_it_and_the_known_ones() -> None:
    with pytest.raises(UnknownEvent, match=r"'order\.teleported'; known: order\.created"):
        decode("order.teleported", 1, {})


def test_a_newer_schema_asks_for_a_deploy() -> None:
    with pytest.raises(UnknownEvent, match=r"schema 2, newer than this code's 1: deploy first"):
        decode("payment.processing", 2, {"payment": "p"})


@pytest.mark.parametrize("data", [{}, {"payment": "p", "amount": 1}, {"amount": 1}])
def test_missing_and_surplus_fields_are_errors(data: dict[str, Any]) -> None:
    with pytest.raises(UnknownEvent, match=r"this code knows \['payment'\]"):
        decode("payment.processing", 1, data)


def test_a_field_with_a_default_may_be_missing() -> None:
    assert encode(decode("order.cancelled", 1, {})) == {"reason": ""}


def test_two_classes_of_one_name_are_refused(registry: None) -> None:
    with pytest.raises(ValueError, match=r"two event classes are called 'order\.created'"):

        @register
        @dataclass(frozen=True, kw_only=True)
        class _Created(Event):
            type = "order.created"


def test_two_upcasters_from_one_schema_are_refused(registry: None) -> None:
    upcaster("order.shipped", 1)(lambda data: data)

    with pytest.raises(ValueError, match=r"two upcasters lead from 'order\.shipped' schema 1"):
        upcaster("order.shipped", 1)(lambda data: data)


def test_old_data_is_lifted_step_by_step(registry: None) -> None:
    _shipped()
    upcaster("order.shipped", 1)(lambda data: {"parcels": [data["parcel"]]})
    upcaster("order.shipped", 2)(lambda data: {**data, "carrier": "unknown"})

    lifted = {"parcels": ["A"], "carrier": "unknown"}
    assert upcast("order.shipped", 1, {"parcel": "A"}) == lifted
    assert encode(decode("order.shipped", 2, {"parcels": ["A"]})) == lifted
    assert encode(decode("order.shipped", 3, lifted)) == lifted


def test_a_missing_step_between_schemas_is_an_error(registry: None) -> None:
    _shipped()
    upcaster("order.shipped", 1)(lambda data: {"parcels": [data["parcel"]]})

    with pytest.raises(
        UnknownEvent, match=r"no upcaster leads from 'order\.shipped' schema 2 to 3"
    ):
        decode("order.shipped", 1, {"parcel": "A"})


def test_an_event_without_a_rule_cannot_be_folded(registry: None) -> None:
    shipped = _shipped()

    with pytest.raises(UnknownEvent, match=r"no projection for event type 'order\.shipped'"):
        projection.fold(projection.Facts(), shipped(parcels=[], carrier="x"))  # type: ignore[call-arg]


def test_the_customer_sees_the_facts_and_the_public_fields_only() -> None:
    record = EventRecord(
        order="a" * 32,
        epoch="e",
        version=7,
        type="payment.failed",
        state="failed",
        data={"payment": "p1", "code": "stolen", "message": "call the police", "fails_order": True},
        facts={"captured": 0},
        source="callback",
        actor="house",
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )

    assert record.id == f"{'a' * 32}:7"
    assert record.public_data == {"captured": 0, "payment": "p1", "code": "stolen"}


def _shipped() -> type[Event]:
    @register
    @dataclass(frozen=True, kw_only=True)
    class _Shipped(Event):
        type = "order.shipped"
        schema = 3

        parcels: list[str]
        carrier: str

    return _Shipped
