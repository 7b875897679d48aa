"""Staff with a browser, for the tests of the admin: who may do what, and the forms that they send."""

import re

from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.db.models import Model
from django.test import Client

from orders.commands import provider_calls
from orders.domain.events import OrderFlagged
from orders.journal import writer
from orders.models import Order, Payment, RefreshRun
from tests.builders import API

LIST = "/admin/orders/order/"
RECEIPTS = "/admin/orders/callbackreceipt/"


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def staff_with(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return logged_in(user)


def run(client: Client, action: str, *rows: Model, listing: str = LIST, **form: str) -> str:
    """Choose rows in the list and run an action, as the page's form does."""
    chosen = [str(row.pk) for row in rows]
    sent = {"action": action, "_selected_action": chosen, "index": "0", **form}
    answer = client.post(listing, sent, follow=True)
    html: str = answer.content.decode()
    return html


def refreshed(client: Client, *orders: Order, reason: str = "asked") -> str:
    """Force a refresh, ask from the run's page (no worker runs here), and give that page."""
    run(client, "force_refresh", *orders, confirm="1", reason=reason)
    newest = RefreshRun.objects.latest("pk")
    answer = client.post(f"/admin/orders/refreshrun/{newest.pk}/carry-out/", follow=True)
    html: str = answer.content.decode()
    return html


def seen(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def flagged(order: Order, reason: str = "mismatch") -> Order:
    with transaction.atomic():
        event = OrderFlagged(reason=reason, detail="the provider says 900")
        writer.record(Order.objects.locked(order.ref), event, API)
    return Order.objects.get(pk=order.pk)


def begun(order: Order) -> Payment:
    return provider_calls.start_payment(order.ref, mode="callback", cause=API)
