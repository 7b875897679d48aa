"""`python -m tests.browser.measure`: what an order page weighs, when it paints, and how soon after the click it turns.

The whole stack runs as `make demo` starts it, and a real Chromium opens it. All times are the browser's own. Loopback
has no latency of its own; the second loading is slowed by Chromium to a slow telephone's (`SLOW`).
"""

import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from tests.browser.chromium import FLAGS, chromium_path
from tests.story.stack import Stack, started_stack

RUNS = 50
WARM_UP = 3  # first runs, which are not counted
TOKEN = {"Authorization": "Bearer demo-service-token"}
PHONE: ViewportSize = {"width": 390, "height": 844}
# Lighthouse's slow 4G and its slower processor: https://github.com/GoogleChrome/lighthouse/blob/main/docs/throttling.md
SLOW = {"latency": 150, "downloadThroughput": 1_638_400 / 8, "uploadThroughput": 675_000 / 8}
SLOWER_BY = 4

_PAINTS = """
window.seen = { cls: 0 };
new PerformanceObserver((list) => list.getEntries().forEach((e) => e.hadRecentInput || (seen.cls += e.value)))
  .observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => (seen.lcp = list.getEntries().at(-1).startTime))
  .observe({ type: "largest-contentful-paint", buffered: true });
"""
_FCP = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_LIVE = "[data-connection=live]"
# When the words were put there, and when the frame that shows them was done.
_TURNS = """() => {
  const headline = document.querySelector("[data-headline]");
  const now = () => performance.timeOrigin + performance.now();
  window.turned = new Promise((resolve) => new MutationObserver(() => {
    if (document.getElementById("order").dataset.state !== "paid") return;
    const at = now();
    requestAnimationFrame(() => setTimeout(() => resolve([at, now()])));
  }).observe(headline, { childList: true, characterData: true, subtree: true }));
}"""
_CLICKS = """addEventListener("click", (event) => clicked(performance.timeOrigin + event.timeStamp), true);"""


def main() -> int:
    """Print the figures as they come. Returns the exit code."""
    path = chromium_path()
    if path is None:
        print("There is no Chromium on this machine.", file=sys.stderr)
        return 1
    with started_stack() as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        for name, is_slow in (("LOAD", False), ("LOAD slow", True)):
            print(name, json.dumps(loading(browser, stack, is_slow=is_slow)), flush=True)
        print("TURN", json.dumps(turning(browser, stack)), flush=True)
        browser.close()
    return 0


def loading(browser: Browser, stack: Stack, *, is_slow: bool) -> dict[str, Any]:
    """One order page with nothing in the cache, until it is live: bytes as they came over the wire."""
    with _context(browser) as context:
        page = context.new_page()
        page.add_init_script(_PAINTS)
        wire = _Wire(page, is_slow=is_slow)
        page.goto(_order(stack)["page"])
        page.wait_for_selector(_LIVE)
        found = page.evaluate(f"({{ fcp: {_FCP}, ...seen }})")
        return {
            **wire.told(stack.url),
            "fcp_ms": round(found["fcp"]),
            "lcp_ms": round(found["lcp"]),
            "cls": round(found["cls"], 4),
        }


def turning(browser: Browser, stack: Stack) -> dict[str, Any]:
    """From the press of *Pay* in the provider's checkout to the words on an order page in another tab."""
    said, painted = [], []
    for run in range(WARM_UP + RUNS):
        with _context(browser) as context:
            clicked, (at, after) = _pay_once(context, stack)
        if run >= WARM_UP:
            said.append(at - clicked)
            painted.append(after - clicked)
    return {"runs": RUNS, "to_the_words": _spread(said), "to_the_frame": _spread(painted)}


def _pay_once(context: BrowserContext, stack: Stack) -> tuple[float, tuple[float, float]]:
    order = _order(stack)
    clicks: list[float] = []
    watching, checkout = context.new_page(), context.new_page()
    watching.goto(order["page"])
    watching.wait_for_selector(_LIVE)
    watching.evaluate(_TURNS)
    checkout.expose_function("clicked", lambda at: clicks.append(at))  # noqa: PLW0108 — Playwright marks it
    checkout.add_init_script(_CLICKS)
    checkout.goto(_payment(stack, order["ref"])["checkout_url"])
    watching.bring_to_front()  # or its frames would wait for those of the tab that is in front
    checkout.locator("button.main").click()
    at, after = watching.evaluate("turned")
    return clicks[0], (at, after)


class _Wire:
    """What the page asked for, counted by the browser's own network layer."""

    def __init__(self, page: Page, *, is_slow: bool) -> None:
        self._sizes: dict[str, float] = {}
        self._asked: dict[str, tuple[str, str]] = {}
        session = page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._begun)
        session.on("Network.loadingFinished", self._ended)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        if is_slow:
            session.send("Network.emulateNetworkConditions", {"offline": False, **SLOW})
            session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER_BY})

    def _begun(self, event: dict[str, Any]) -> None:
        self._asked[event["requestId"]] = (event["request"]["url"], event["type"])

    def _ended(self, event: dict[str, Any]) -> None:
        self._sizes[event["requestId"]] = event["encodedDataLength"]

    def told(self, home: str) -> dict[str, Any]:
        kinds: dict[str, int] = {}
        for request, size in self._sizes.items():
            kind = self._asked[request][1].lower()
            kinds[kind] = kinds.get(kind, 0) + int(size)
        foreign = [url for url, _ in self._asked.values() if not url.startswith((home, "data:"))]
        return {
            "requests": len(self._asked),
            "third_party": len(foreign),
            "bytes": sum(kinds.values()),
            "of_which": kinds,
        }


def _order(stack: Stack) -> dict[str, Any]:
    return _post(stack, "/api/orders", {"amount": 1_250, "currency": "EUR"})


def _payment(stack: Stack, ref: str) -> dict[str, Any]:
    payment: dict[str, Any] = _post(stack, f"/api/orders/{ref}/payments", {"mode": "callback"})[
        "payment"
    ]
    return payment


def _post(stack: Stack, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(f"{stack.url}{path}", json=body, headers=TOKEN, trust_env=False, timeout=20)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def _context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=PHONE, locale="en-GB")
    yield context
    context.close()


def _spread(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    at = {"p50_ms": statistics.median(ordered), "p95_ms": ordered[int(len(ordered) * 0.95)]}
    return {name: round(value, 1) for name, value in (at | {"max_ms": ordered[-1]}).items()}


if __name__ == "__main__":
    sys.exit(main())
