"""A page of another site that follows an order and writes down what it is told, for comparing with the journal."""

import json
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from orders.journal import queries
from orders.models import Order, OrderEvent
from tests.browser.conftest import Reader
from tests.browser.shop import Shop

_PAGE = """<!doctype html><html lang="en"><link rel="icon" href="%(url)s/static/realtime/icon.svg">
<title>Listening</title><script type="module">
import { OrderStream } from "%(url)s/static/realtime/ordercast.js";
window.log = [];
window.watch = (options) => {
  const stream = new OrderStream({ url: "%(url)s", ...options });
  stream.addEventListener("event", ({ detail }) => log.push([detail.version, detail.event, detail.state]));
  stream.addEventListener("snapshot", ({ detail }) => log.push(["snapshot", detail.version, detail.state]));
  stream.addEventListener("status", ({ detail }) => (stream.code = detail?.code));
  return (window.stream = stream);
};
</script>"""


@dataclass
class Listener:
    """The page, and the last stream that it was told to watch. `log` is what that stream said."""

    page: Page

    def watch(self, order: Order, **options: Any) -> None:
        """From the version that the order has now."""
        cursor = {"epoch": queries.epoch(), "version": order.version}
        given = json.dumps({"order": order.ref, "cursor": cursor, **options})
        renewal = "refreshToken: async () => (await fetch('/fresh')).text()"
        self.page.evaluate(f"() => {{ watch({{ ...{given}, {renewal} }}) }}")

    def becomes(self, status: str, transport: str | None = None) -> None:
        self.page.wait_for_function(
            "([status, transport]) => stream.status === status && (!transport || stream.transport === transport)",
            arg=[status, transport],
            timeout=60_000,
        )

    def has_heard(self, version: int) -> None:
        self.page.wait_for_function(
            "version => stream.version >= version", arg=version, timeout=60_000
        )

    @property
    def log(self) -> list[list[Any]]:
        found: list[list[Any]] = self.page.evaluate("log")
        return found

    @property
    def code(self) -> int | None:
        found: int | None = self.page.evaluate("stream.code")
        return found


def listening(reader: Reader, shop: Shop, url: str, *, fresh: str = "") -> Listener:
    """A page of the shop's that listens to the server at `url`; `fresh` is the new grant that it gets when it asks."""
    shop.pages |= {"/": _PAGE % {"url": url}, "/fresh": fresh}
    page = reader.open(shop.origin)
    page.wait_for_function("() => window.watch")
    return Listener(page)


def journal(order: Order, after: int = 0) -> list[list[Any]]:
    """What the journal holds of the order, in the same words as a page's log."""
    events = OrderEvent.objects.filter(order=order, version__gt=after).order_by("version")
    return [[event.version, event.type, event.state] for event in events]
