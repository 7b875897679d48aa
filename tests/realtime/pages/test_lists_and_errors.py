"""My orders, and the pages that nobody hopes to see."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orders.models import OrderEvent
from realtime.pages import views
from tests.builders import an_order
from tests.realtime.pages.reading import for_script, granted, shown_without_script, text_of

pytestmark = pytest.mark.usefixtures("database")


def test_my_orders_are_mine_and_ask_for_a_log_in() -> None:
    owner, other = (User.objects.create_user(n) for n in ("owner", "other"))
    mine, theirs = an_order(customer_id=owner.pk), an_order(customer_id=other.pk)
    client = Client()
    stranger = client.get("/orders/")
    client.force_login(owner)

    answer = client.get("/orders/")

    assert stranger["Location"] == "/login/?next=/orders/"
    assert mine.ref in text_of(answer)
    assert theirs.ref not in text_of(answer)
    assert [watched["order"] for watched in for_script(answer)["orders"]] == [mine.ref]


def test_my_orders_go_back_page_by_page_and_lose_none() -> None:
    owner = User.objects.create_user("owner")
    made = [an_order(customer_id=owner.pk).ref for _ in range(views.LISTED * 2 + 1)]
    an_order()
    client = Client()
    client.force_login(owner)

    seen, address = [], "/orders/"
    while address:
        html = text_of(client.get(address))
        seen.append(re.findall(r'data-order="(\w+)"', html))
        older = re.search(r'href="(\?before=\w+)"', html)
        address = f"/orders/{older[1]}" if older else ""

    assert [len(page) for page in seen] == [views.LISTED, views.LISTED, 1]
    assert [ref for page in seen for ref in page] == made[::-1]


def test_nobody_looks_into_the_list_of_another_by_one_of_its_orders() -> None:
    owner, other = (User.objects.create_user(n) for n in ("owner", "other"))
    theirs, mine = an_order(customer_id=other.pk), an_order(customer_id=owner.pk)
    client = Client()
    client.force_login(owner)

    html = text_of(client.get(f"/orders/?before={theirs.ref}"))

    assert re.findall(r'data-order="(\w+)"', html) == [mine.ref]


def test_my_orders_that_are_none_say_where_else_to_look() -> None:
    client = Client()
    client.force_login(User.objects.create_user("owner"))

    shown = shown_without_script(client.get("/orders/"))

    assert "You have no orders yet." in shown


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/nothing/", 404, "Page not found"),
        ("/nothing/%00/", 404, "Page not found"),
    ],
)
def test_what_is_not_there_has_a_page_too(path: str, status: int, said: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == status
    assert said in shown_without_script(answer)


def test_a_form_that_is_too_old_says_that_nothing_was_done() -> None:
    answer = Client(enforce_csrf_checks=True).post(granted(an_order()))

    assert "For your security, nothing was done" in shown_without_script(answer)


def test_a_defect_of_ours_is_said_without_its_inside() -> None:
    order = an_order()
    OrderEvent.objects.create(
        order=order, version=2, type="a.secret", data={}, state="paid", facts={}, at=timezone.now()
    )  # of a version of ours that is yet to come
    client = Client(raise_request_exception=False)

    answer = client.get(granted(order), headers={"Accept-Language": "de"}, follow=True)

    assert answer.status_code == 500
    assert "<h1>Bei uns ist etwas schiefgegangen</h1>" in text_of(answer)
    assert "secret" not in text_of(answer)
