"""Nobody learns of an order that is not theirs, neither from the answer nor from the time that it takes."""

import itertools
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders import access
from orders.api import authentication
from orders.domain.errors import OrderNotFound
from tests.builders import an_order
from tests.people import SERVICE, UNKNOWN

TRIES = 1_000
# Of two samples of a thousand that are alike, the chance that one of the first is the slower has a standard error of
# 0.013: this is five of them.
TELLING = 0.065
_WHEN = re.compile(r"'[0-9-]+ [0-9:.+]+'")


@pytest.fixture(params=["customer", "guest"])
def stranger(
    request: pytest.FixtureRequest,
    user: Callable[..., Any],
    bearer: Callable[[str], Client],
    logged_in: Callable[[Any], Client],
) -> Client:
    """Somebody who may see an order, but not the one in question."""
    if request.param == "customer":
        return logged_in(user("other"))
    return bearer(access.issue_grant([an_order().ref]))


@pytest.mark.parametrize("path", ["", "/events"])
def test_an_unknown_order_and_a_strangers_get_the_same_answer_after_the_same_queries(
    stranger: Client, path: str
) -> None:
    forbidden = an_order().ref
    answers, queries = [], []
    for ref in (forbidden, UNKNOWN):
        with CaptureQueriesContext(connection) as seen:
            answers.append(stranger.get(f"/api/orders/{ref}{path}"))
        queries.append([_WHEN.sub("…", q["sql"].replace(ref, "…")) for q in seen.captured_queries])

    assert [a.status_code for a in answers] == [404, 404]
    assert answers[0].content.decode().replace(forbidden, UNKNOWN) == answers[1].content.decode()
    assert {**answers[0].headers} == {**answers[1].headers}
    assert queries[0] == queries[1]


@pytest.mark.parametrize("kind", ["customer", "guest"])
def test_a_thousand_tries_do_not_tell_them_apart(user: Callable[..., Any], kind: str) -> None:
    ones = an_order().ref
    token = access.issue_grant([ones])
    if kind == "customer":
        token = access.issue_user_token(user("other"))
    stranger = authentication.of_token(token)
    refs = (an_order().ref, UNKNOWN)
    took: list[list[float]] = [[], []]

    # The one step of an answer that knows which order was asked for. In turns that no rhythm of the machine follows.
    for which in itertools.islice(itertools.cycle((0, 1, 1, 0)), 2 * TRIES):
        began = time.perf_counter()
        with pytest.raises(OrderNotFound):
            stranger.visible(refs[which])
        took[which].append(time.perf_counter() - began)

    assert abs(_chance_of_being_slower(*took) - 0.5) < TELLING


def _chance_of_being_slower(ones: list[float], others: list[float]) -> float:
    """That a random one of the first is slower than a random one of the second: the Mann–Whitney statistic."""
    ranked = sorted(others)
    beaten = sum(bisect_left(ranked, one) + bisect_right(ranked, one) for one in ones)
    return beaten / (2 * len(ones) * len(others))


def test_a_service_without_the_scope_hears_so_for_every_order(
    bearer: Callable[[str], Client],
) -> None:
    client = bearer(access.issue_service_token("billing", ["refresh"]))

    answers = [client.get(f"/api/orders/{ref}") for ref in (an_order().ref, UNKNOWN)]

    assert [(a.status_code, a.json()["scope"]) for a in answers] == [(403, "orders:read")] * 2


def test_a_customer_sees_their_own_order_and_by_their_token_too(
    user: Callable[..., Any], logged_in: Callable[[Any], Client], bearer: Callable[[str], Client]
) -> None:
    rosa = user("rosa")
    ref = an_order(customer_id=rosa.pk).ref

    for client in (logged_in(rosa), bearer(access.issue_user_token(rosa))):
        assert client.get(f"/api/orders/{ref}").json()["ref"] == ref


def test_a_key_that_another_service_used_finds_nothing_of_theirs(
    bearer: Callable[[str], Client],
) -> None:
    body = {"amount": 1250, "currency": "EUR"}
    made = []
    for token in (SERVICE, access.issue_service_token("shop", ["orders:write"])):
        answer = bearer(token).post(
            "/api/orders", body, "application/json", headers={"idempotency-key": "invoice-1"}
        )
        made.append((answer.status_code, answer.json()["ref"]))

    assert [status for status, _ in made] == [201, 201]
    assert made[0][1] != made[1][1]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("nonsense", "bad_token"),
        (access.issue_grant([UNKNOWN], -access.GRANT_LIFETIME), "token_expired"),
    ],
)
def test_a_client_hears_what_is_wrong_with_its_token(
    bearer: Callable[[str], Client], token: str, code: str
) -> None:
    answer = bearer(token).get(f"/api/orders/{UNKNOWN}")

    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
