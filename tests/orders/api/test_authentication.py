"""Who may see and do what over the API: services, staff, customers, and guests with a grant."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from orders import access
from orders.commands.review import flag_order
from orders.models import Order
from tests.builders import API, an_order, database_contents
from tests.orders.calling import at, call, problem

pytestmark = pytest.mark.usefixtures("database")

WRITES = ["payments", "cancel", "refunds", "refresh"]


def test_a_grant_shows_its_own_order_and_no_other() -> None:
    own, other = an_order(), an_order()
    grant = access.issue_grant([own.ref])

    assert call("get", at(own), token=grant).json()["ref"] == own.ref
    assert call("get", at(own, "events"), token=grant).status_code == 200
    assert problem(call("get", at(other), token=grant)) == (404, "order_not_found")
    assert problem(call("get", at(other, "events"), token=grant)) == (404, "order_not_found")


def test_what_the_shop_keeps_to_itself_is_for_services_and_staff() -> None:
    customer = User.objects.create_user("ada")
    looker = User.objects.create_user("rosa", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename="view_order"))
    order = an_order(customer_id=customer.pk, metadata={"title": "Two mugs", "margin": 0.8})
    flag_order(order.ref, reason="mismatch", detail="the provider says 7 EUR", cause=API)
    tokens = {
        "a guest": access.issue_grant([order.ref]),
        "a customer": access.issue_user_token(customer),
        "staff": access.issue_user_token(looker),
        "a service": access.issue_service_token("shop", ["orders:read"]),
    }

    found = {who: call("get", at(order), token=token).json() for who, token in tokens.items()}

    whole = ({"title": "Two mugs", "margin": 0.8}, ["mismatch"], True)
    theirs: tuple[Any, ...] = ({"title": "Two mugs"}, [], True)
    assert {who: (o["metadata"], o["flags"], o["needs_review"]) for who, o in found.items()} == {
        "a guest": theirs, "a customer": theirs, "staff": whole, "a service": whole,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["", "/events"])
def test_an_order_that_is_not_there_and_one_that_is_not_yours_look_the_same(path: str) -> None:
    grant = access.issue_grant([an_order().ref])
    not_yours, not_there = an_order().ref, "f" * 32

    answers = {
        ref: call("get", f"orders/{ref}{path}", token=grant) for ref in (not_yours, not_there)
    }

    seen = [
        (a.status_code, a.content.replace(ref.encode(), b"REF"), sorted(a.items()))
        for ref, a in answers.items()
    ]
    assert seen[0] == seen[1]
    assert seen[0][0] == 404


@pytest.mark.parametrize("path", WRITES)
def test_who_may_only_look_changes_nothing(path: str) -> None:
    order = an_order()
    grant = access.issue_grant([order.ref])
    before = database_contents()

    assert problem(call("post", at(order, path), {}, token=grant)) == (403, "forbidden")
    assert problem(call("post", f"orders/{'f' * 32}/{path}", {}, token=grant)) == (403, "forbidden")
    assert database_contents() == before


def test_a_guest_makes_no_order() -> None:
    grant = access.issue_grant([an_order().ref])

    assert problem(call("post", "orders", {"amount": 1, "currency": "EUR"}, token=grant)) == (
        403, "forbidden",
    )  # fmt: skip


@pytest.mark.parametrize("token", [None, "nonsense", "a.b.c"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("get", ""), ("get", "/events"), *[("post", f"/{path}") for path in WRITES]],
)
def test_without_a_good_token_nothing_is_answered(
    token: str | None, method: str, path: str
) -> None:
    answer = call(method, f"orders/{an_order().ref}{path}", {}, token=token)

    code = "unauthenticated" if token is None else "bad_token"
    assert problem(answer) == (401, code)
    assert answer["WWW-Authenticate"].startswith('Bearer realm="ordercast"')


def logged_in(*permissions: str, csrf: bool = False, **more: Any) -> Client:
    user = User.objects.create_user("rosa", **more)  # no password: hashing one takes a second
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user)
    return client


def test_a_customer_sees_their_own_order_and_changes_none() -> None:
    client = logged_in()
    own = an_order(customer_id=User.objects.get().pk)

    assert call("get", at(own), client=client, token=None).status_code == 200
    assert problem(call("get", at(an_order()), client=client, token=None))[0] == 404
    assert problem(call("post", at(own, "cancel"), {}, client=client, token=None))[0] == 403


def test_staff_do_not_move_an_order_that_they_may_not_see() -> None:
    client = logged_in("change_order", is_staff=True)
    order = an_order()

    answer = call("post", at(order, "cancel"), {}, client=client, token=None)

    assert problem(answer) == (404, "order_not_found")
    assert Order.objects.get().state == "created"


def test_a_log_in_needs_a_csrf_token_to_change_anything() -> None:
    client = logged_in("change_order", "view_order", is_staff=True, csrf=True)
    order = an_order()

    answer = call("post", at(order, "cancel"), {}, client=client, token=None)

    assert problem(answer) == (403, "csrf_failed")
    assert Order.objects.get().state == "created"


def test_staff_cancel_with_their_name_in_the_journal() -> None:
    client = logged_in("change_order", "view_order", is_staff=True)
    order = an_order()

    answer = call("post", at(order, "cancel"), {"reason": "asked"}, client=client, token=None)

    row = order.events.latest("version")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert (row.source, row.actor, row.data) == ("staff", "rosa", {"reason": "asked"})
