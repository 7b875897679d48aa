"""Addresses of pages on a test's own server, and being somebody there."""

from django.contrib.auth.models import User
from django.test import Client

from orders.models import Order
from tests.browser.conftest import Reader
from tests.realtime.pages.reading import granted
from tests.realtime.serving import Server


def address(server: Server, order: Order, under: str = "") -> str:
    """The order's page with its grant, or a page below it."""
    return f"{server.url}{granted(order, under)}"


def log_in(reader: Reader, server: Server, user: User) -> None:
    client = Client()
    client.force_login(user)
    cookie = client.cookies["sessionid"].value
    reader.context.add_cookies([{"name": "sessionid", "value": cookie, "url": server.url}])
