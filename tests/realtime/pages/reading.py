"""A page as its reader sees it, for tests through Django's test client, and what it may have to tell."""

import json
import re
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from orders import access
from orders.access.links import page_url
from orders.domain.events import Event
from orders.journal import writer
from orders.models import Order
from tests.builders import STAFF


def granted(order: Order, under: str = "") -> str:
    """The order's address with its grant, as the shop's link has it; `under` is a page below it."""
    url = urlsplit(page_url(order.ref, access.issue_grant([order.ref])))
    return f"{url.path}{under}?{url.query}"


def page_of(order: Order, language: str = "", under: str = "") -> HttpResponse:
    headers = {"Accept-Language": language} if language else {}
    return Client().get(granted(order, under), headers=headers, follow=True)  # type: ignore[return-value]


def text_of(answer: Any) -> str:
    html: str = answer.content.decode()
    return html


def for_script(answer: Any) -> dict[str, Any]:
    found = re.search(r'<script id="page" type="application/json">(.*?)</script>', text_of(answer))
    assert found
    page: dict[str, Any] = json.loads(found[1])
    return page


def shown_without_script(answer: Any) -> str:
    """What a reader sees: no script, no hidden element, no tags."""
    html = re.sub(r"<script.*?</script>", "", text_of(answer), flags=re.DOTALL)
    html = re.sub(r"<(\w+)[^>]* hidden>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def in_stream(order: Order, *events: Event) -> None:
    """Write these into the order's journal as they are."""
    for event in events:
        with transaction.atomic():
            writer.record(Order.objects.locked(order.ref), event, STAFF)
