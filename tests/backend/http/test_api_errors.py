"""What programs call answers every error as problem+json, whoever in Django made it, and redirects nobody."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from tests.orders.calling import call, problem

pytestmark = pytest.mark.usefixtures("database")

BROKEN = "/api/orders/" + "0" * 32


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/api/nope", 404, "not_found"),
        ("get", "/api/", 404, "not_found"),
        ("get", "/api/orders/", 404, "not_found"),
        ("get", "/api/orders", 405, "method_not_allowed"),
        ("delete", "/api/orders", 405, "method_not_allowed"),
        ("post", "/api/asyncapi.json", 403, "forbidden"),
        ("get", "/callbacks/house/", 405, "method_not_allowed"),
        ("get", "/callbacks/house", 405, "method_not_allowed"),
        ("post", "/callbacks/nobody/", 404, "unknown_provider"),
        ("post", "/callbacks/", 404, "not_found"),
        ("post", "/callbacks/house/more/", 404, "not_found"),
        ("post", "/callbacks/house/", 400, "bad_signature"),
    ],
)
def test_every_error_is_a_problem_with_a_code(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    answer: Any = client.generic(method.upper(), path, "{}", "application/json")

    assert problem(answer) == (status, code)
    assert answer.json()["instance"] == path


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/api/orders", {"POST"}), ("/callbacks/house/", {"POST"}), (BROKEN, {"GET"})],
)
def test_a_method_that_is_not_allowed_says_which_are(
    client: Client, path: str, allowed: set[str]
) -> None:
    answer: Any = client.patch(path)

    assert problem(answer) == (405, "method_not_allowed")
    assert {name.strip() for name in answer["Allow"].split(",")} - {"HEAD", "OPTIONS"} == allowed


def test_an_exception_is_a_problem_too(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    def broken(*_: Any, **__: Any) -> HttpResponse:
        raise RuntimeError("a defect")

    monkeypatch.setattr("orders.api.routes.queries.epoch", broken)

    made = call("post", "orders", {"amount": 1, "currency": "EUR"}, client=client)

    assert problem(made) == (500, "internal_error")


def test_a_problem_says_nothing_of_the_page_that_it_replaces(client: Client) -> None:
    answer: Any = client.get(
        "/api/nope", headers={"Accept-Encoding": "gzip", "Accept-Language": "de"}
    )

    assert problem(answer) == (404, "not_found")
    assert {"Content-Encoding", "Content-Language", "ETag"}.isdisjoint(answer.headers)
    assert answer["Content-Length"] == str(len(answer.content))


def test_pages_go_on_answering_with_pages(client: Client) -> None:
    answer = client.get("/nowhere/")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/api/orders", "/callbacks/house/", "/callbacks/house"])
def test_where_https_is_wanted_a_program_is_told_so_and_not_redirected(
    settings: Any, client: Client, path: str
) -> None:
    settings.SECURE_SSL_REDIRECT = True

    answer: Any = client.post(path, {}, content_type="application/json")

    assert problem(answer) == (403, "https_required")
