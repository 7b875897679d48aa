"""Every table of the admin, also those to come: who may see it, and that nobody changes a row of ours in it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client, RequestFactory
from django.urls import reverse

from orders import access
from orders.access import Scope

TABLES = sorted(model._meta.label_lower for model in admin.site._registry)
NEEDED = {"orders.refreshrun": "refresh_order"}  # whoever may ask may see what came of it
OURS = [table for table in TABLES if table.startswith("orders.")]


@pytest.fixture
def status_for(
    user: Callable[..., Any], bearer: Callable[[str], Client]
) -> Callable[[str, str, str], int]:
    """What somebody gets who opens a page of a table: `status_for("staff", "orders.order", "add")`."""

    def status(who: str, table: str, page: str) -> int:
        app, model = table.split(".")
        if who in {"a service", "a guest"}:
            token = access.issue_service_token("shop", list(Scope))
            client = bearer(token if who == "a service" else access.issue_grant(["0" * 32]))
        else:
            client = Client()
        if who in {"a customer", "staff", "staff who may look", "superuser"}:
            person = user(who, is_staff=who != "a customer", is_superuser=who == "superuser")
            if who == "staff who may look":
                needed = NEEDED.get(table, f"view_{model}")
                looks = Permission.objects.filter(content_type__app_label=app, codename=needed)
                person.user_permissions.set(looks)
            client.force_login(person)
        address = reverse(f"admin:{app}_{model}_{page}")
        return client.get(address).status_code

    return status


@pytest.mark.parametrize("table", TABLES)
def test_a_list_is_for_staff_with_the_permission_to_see_that_table(
    status_for: Callable[[str, str, str], int], table: str
) -> None:
    people = ("nobody", "a service", "a guest", "a customer", "staff", "staff who may look")

    found = {who: status_for(who, table, "changelist") for who in people}

    assert found == {
        "nobody": 302,
        "a service": 302,
        "a guest": 302,
        "a customer": 302,
        "staff": 403,
        "staff who may look": 200,
    }


@pytest.mark.parametrize("table", OURS)
def test_not_even_a_superuser_adds_changes_or_deletes_a_row_of_ours(
    status_for: Callable[[str, str, str], int], table: str
) -> None:
    assert status_for("superuser", table, "add") == 403

    request = RequestFactory().get("/")
    request.user = get_user_model()(username="root", is_staff=True, is_superuser=True)
    pages = next(each for each in admin.site._registry.values() if each.opts.label_lower == table)
    assert not pages.has_change_permission(request)
    assert not pages.has_delete_permission(request)
