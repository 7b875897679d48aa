"""The HTTP API from outside: orders, their events, who may see them, and every error as a problem with a code."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from orders.api.routes import api
from orders.commands import lifecycle, review
from orders.models import JournalEpoch, Order
from tests.builders import API, an_order, an_order_that_is, at_once, database_contents, move
from tests.orders.calling import at, call, make, problem

pytestmark = pytest.mark.usefixtures("database")


def epoch() -> str:
    return JournalEpoch.objects.get().word


def test_an_order_is_made_and_answered_with_its_page() -> None:
    answer = make({"amount": 1_250, "currency": "EUR", "metadata": {"cart": 7}, "expires_in": 600})

    order = Order.objects.get()
    said = answer.json()
    grant = said.pop("grant")
    assert answer.status_code == 201
    assert said.pop("page") == f"{settings.ORDERCAST_PUBLIC_URL}/orders/{order.ref}/?grant={grant}"
    assert said == call("get", at(order)).json()
    assert said | {"created_at": "", "changed_at": "", "expires_at": ""} == {
        "ref": order.ref,
        "state": "created",
        "version": 1,
        "epoch": epoch(),
        "total": 1_250,
        "currency": "EUR",
        "captured": 0,
        "refunded": 0,
        "disputed": 0,
        "needs_review": False,
        "is_payable": True,
        "flags": [],
        "is_cancelling": False,
        "metadata": {"cart": 7},
        "created_at": "",
        "changed_at": "",
        "expires_at": "",
        "payments": [],
    }


def test_the_same_key_and_body_give_the_same_order() -> None:
    first = make(Idempotency_Key="k-1")
    again = make(Idempotency_Key="k-1")

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["ref"] == again.json()["ref"]


def test_one_key_at_once_makes_one_order() -> None:
    answers = at_once(*[lambda: make(Idempotency_Key="k-1").status_code] * 5)

    assert sorted(map(str, answers)) == ["200", "200", "200", "200", "201"]
    assert Order.objects.count() == 1


def test_the_same_key_with_another_body_is_a_problem() -> None:
    make(Idempotency_Key="k-1")

    answer = make({"amount": 1, "currency": "EUR"}, Idempotency_Key="k-1")

    assert problem(answer) == (422, "idempotency_key_reused")
    assert Order.objects.count() == 1


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


ORDER = '{"amount": 5, "currency": "EUR", "metadata": {"x": %s}}'
BAD_ORDERS: dict[str, tuple[object, tuple[int, str]]] = {
    name: (body, (422, "invalid_request"))
    for name, body in {
        "a float": {"amount": 12.5, "currency": "EUR"},
        "a whole float": {"amount": 12.0, "currency": "EUR"},
        "a text": {"amount": "1250", "currency": "EUR"},
        "a truth": {"amount": True, "currency": "EUR"},
        "nothing to pay": {"amount": 0, "currency": "EUR"},
        "less than nothing": {"amount": -1, "currency": "EUR"},
        "more than money": {"amount": 10**15 + 1, "currency": "EUR"},
        "no amount": {"currency": "EUR"},
        "no currency": {"amount": 5},
        "small letters": {"amount": 5, "currency": "eur"},
        "a line after the currency": {"amount": 5, "currency": "EUR\n"},
        "no object": [1],
        "nothing": "null",
        "a field we do not know": {"amount": 5, "currency": "EUR", "state": "paid"},
        "a NUL in a text": ORDER % r'"a\u0000b"',
        "a NUL in a name": ORDER % r'{"a\u0000b": 1}',
        "a lone surrogate": ORDER % r'"\ud800"',
        "a lone surrogate in a name": ORDER % r'{"\udfff": 1}',
        "huge metadata": ORDER % json.dumps("x" * 9_000),
        "many small metadata": ORDER % json.dumps(list(range(5_000))),
        "metadata nine deep": {"amount": 5, "currency": "EUR", "metadata": _deep(9)},
        "metadata that is a list": {"amount": 5, "currency": "EUR", "metadata": []},
        "no such customer": {"amount": 5, "currency": "EUR", "customer": 4711},
        "a customer beyond all": {"amount": 5, "currency": "EUR", "customer": 2**31},
        "gone before it came": {"amount": 5, "currency": "EUR", "expires_in": 1},
        "for ever": {"amount": 5, "currency": "EUR", "expires_in": 10**12},
    }.items()
} | {
    name: (body, (400, "malformed_body"))
    for name, body in {
        "too large for any column": {"amount": 10**40, "currency": "EUR"},
        "not a number": ORDER % "NaN",
        "infinity": ORDER % "-Infinity",
        "a number beyond all": ORDER % "1e999",
        "metadata 500 deep": ORDER % ("[" * 500 + "]" * 500),
        "half a body": '{"amount": 5,',
        "no JSON": "amount=5",
        "not UTF-8": b'{"amount": 5, "currency": "\xff"}',
        "NUL bytes": b"\x00\x00",
        "nested without end": "[" * 100_000,
        "a number without end": ORDER % ("9" * 5_000),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), BAD_ORDERS.values(), ids=[*BAD_ORDERS])
def test_a_body_that_makes_no_sense_is_refused_in_words(
    body: object, expected: tuple[int, str]
) -> None:
    before = database_contents()

    assert problem(make(body)) == expected

    assert database_contents() == before


def test_an_invalid_request_says_where_and_what() -> None:
    said = make({"amount": "5", "currency": "EUR"}).json()

    assert said["errors"] == [{"where": "body.amount", "what": "Input should be a valid integer"}]


@pytest.mark.parametrize("metadata", [{}, {"a": [1, 2.5, None, True, "ü😀"]}, _deep(7)])
def test_metadata_comes_back_as_it_went_in(metadata: dict[str, Any]) -> None:
    answer = make({"amount": 5, "currency": "JPY", "metadata": metadata})

    assert (answer.status_code, answer.json()["metadata"]) == (201, metadata)


def test_a_body_that_is_far_too_large_is_refused() -> None:
    assert problem(make(b'{"a":"' + b"x" * 2_700_000 + b'"}')) == (413, "too_large")


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "ü"])
def test_a_key_is_printable_and_not_too_long(key: str) -> None:
    assert problem(make(Idempotency_Key=key)) == (422, "invalid_request")


# Reading


def test_an_order_that_has_not_moved_is_answered_with_304() -> None:
    order = an_order()

    first = call("get", at(order))
    same = call("get", at(order), If_None_Match=first["ETag"])
    move(order.ref, "pay")
    moved = call("get", at(order), If_None_Match=first["ETag"])

    assert first["ETag"] == f'"{epoch()}:1"'
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    assert (moved.status_code, moved["ETag"]) == (200, f'"{epoch()}:2"')
    assert moved.json()["state"] == "paid"


def test_a_new_epoch_is_another_etag() -> None:
    order = an_order()
    etag = call("get", at(order))["ETag"]

    lifecycle.begin_epoch()

    assert call("get", at(order), If_None_Match=etag).status_code == 200


def test_events_are_read_page_by_page_without_a_hole() -> None:
    order = an_order_that_is("charged_back")
    pages, after = [], 0

    while True:
        page = call("get", at(order, f"events?after={after}&limit=3")).json()
        pages.append([event["version"] for event in page["events"]])
        if not page["has_more"]:
            break
        after = page["events"][-1]["version"]

    assert pages == [[1, 2, 3], [4]]
    assert (page["order"], page["epoch"], page["version"]) == (order.ref, epoch(), 4)


def test_an_event_shows_absolute_facts_and_what_the_customer_may_see() -> None:
    order = an_order_that_is("failed")

    events = call("get", at(order, "events?after=2")).json()["events"]

    facts = {"total": 1_000, "currency": "EUR", "captured": 0, "refunded": 0, "disputed": 0}
    (event,) = events
    assert event.pop("at")
    assert event == {
        "version": 3,
        "id": f"{order.ref}:3",
        "event": "payment.failed",
        "state": "failed",
        "data": {**facts, "needs_review": False, "payment": "p1", "code": "card_declined"},
        "source": "api",
    }


def test_after_the_head_there_is_nothing_and_no_more() -> None:
    page = call("get", at(an_order(), "events?after=2147483647")).json()

    assert (page["events"], page["has_more"], page["version"]) == ([], False, 1)


@pytest.mark.parametrize(
    "query", ["after=-1", "after=2147483648", "after=x", "limit=0", "limit=301", "limit=x"]
)
def test_a_page_that_makes_no_sense_is_refused(query: str) -> None:
    assert problem(call("get", at(an_order(), f"events?{query}"))) == (422, "invalid_request")


# The description


def test_the_description_is_valid_and_lists_every_endpoint() -> None:
    described = Client().get("/api/openapi.json").json()

    assert described["openapi"].startswith("3.")
    assert {(path, *sorted(methods)) for path, methods in described["paths"].items()} == {
        ("/api/orders", "post"),
        ("/api/orders/{ref}", "get"),
        ("/api/orders/{ref}/events", "get"),
        ("/api/orders/{ref}/payments", "post"),
        ("/api/orders/{ref}/cancel", "post"),
        ("/api/orders/{ref}/refunds", "post"),
        ("/api/orders/{ref}/refresh", "post"),
        ("/api/orders/{ref}/grants", "post"),
        ("/api/orders/{ref}/why", "get"),
    }
    for methods in described["paths"].values():
        for operation in methods.values():
            assert {"401", "404", "422", "503"} <= set(operation["responses"])
    assert Client().get("/api/docs").status_code == 200


@pytest.mark.parametrize("ref", ["F" * 32, "f" * 31, "f" * 33, "g" * 32, "%00" * 32])
def test_a_reference_that_is_none_is_refused(ref: str) -> None:
    assert problem(call("get", f"orders/{ref}")) == (422, "invalid_request")


def test_events_of_an_order_do_not_show_who_did_it_behind_the_counter() -> None:
    order = an_order()
    review.flag_order(order.ref, reason="mismatch", detail="they tried to cheat", cause=API)

    (event,) = call("get", at(order, "events?after=1")).json()["events"]

    assert "cheat" not in json.dumps(event)
    assert "actor" not in event


def test_a_byte_order_mark_before_a_body_is_not_minded() -> None:
    assert make(b'\xef\xbb\xbf{"amount": 1250, "currency": "EUR"}').status_code == 201


def test_each_operation_has_a_name_of_its_own_that_stays() -> None:
    paths = api.get_openapi_schema()["paths"].values()
    names = sorted(operation["operationId"] for each in paths for operation in each.values())

    assert names == [
        "cancel_order", "create_order", "get_events", "get_order", "issue_grant", "refresh", "refund",
        "start_payment", "why",
    ]  # fmt: skip
