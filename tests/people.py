"""People, and a way to the API for each."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

SERVICE = "demo-service-token"
UNKNOWN = "0" * 32

Login = Callable[..., Client]


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def user(database: None) -> Callable[..., Any]:
    """Make a Django user: `user("rosa", "view_order", is_staff=True)`."""

    def make(name: str, *permissions: str, **fields: Any) -> Any:
        made = get_user_model().objects.create_user(name, password="a-long-enough-one", **fields)
        made.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        return made

    return make


@pytest.fixture
def bearer(database: None) -> Callable[[str], Client]:
    """A client that sends this token."""
    return lambda token: Client(headers={"authorization": f"Bearer {token}"})


@pytest.fixture
def logged_in(database: None) -> Callable[[Any], Client]:
    """A client with a Django session, which its CSRF token is needed for as in a browser."""

    def log_in(user: Any) -> Client:
        client = Client(enforce_csrf_checks=True)
        client.force_login(user)
        return client

    return log_in
