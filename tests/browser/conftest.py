"""A real Chromium (the system's), and web processes for it to open."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.browser.chromium import FLAGS, chromium_path
from tests.browser.shop import Shop
from tests.optional import skip_or_fail
from tests.realtime.conftest import start_process, start_server

__all__ = ["FLAGS", "start_process", "start_server"]

expect.set_options(timeout=60_000)  # what never comes, and not what is slow


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for the whole session: while Playwright's synchronous API runs, no other event loop can."""
    path = chromium_path()
    if path is None:
        skip_or_fail("Chromium is missing; on Debian: apt-get install chromium")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps a loop running in this thread, and Django takes that for async code. It is not.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Reader:
    """Somebody with a browser. `complaints` is what its console said, and what it could not load.

    A test fails at its end if there were any, but for those that match one of `expected`.
    """

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    sockets: list[str] = field(
        default_factory=list
    )  # the address of each WebSocket that was opened

    def new_page(self) -> Page:
        page = self.context.new_page()
        page.on("console", self._hear)
        page.on("websocket", lambda socket: self.sockets.append(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def open(self, url: str) -> Page:
        page = self.new_page()
        page.goto(url)
        return page

    @property
    def surprises(self) -> list[str]:
        return [
            each for each in self.complaints if not any(re.search(p, each) for p in self.expected)
        ]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


def _reading(context: BrowserContext) -> Iterator[Reader]:
    reader = Reader(context)
    yield reader
    context.close()
    assert reader.surprises == []


@pytest.fixture
def reader(chromium: Browser) -> Iterator[Reader]:
    """A reader in Berlin with a telephone."""
    yield from _reading(
        chromium.new_context(
            viewport={"width": 390, "height": 844}, timezone_id="Europe/Berlin", locale="en-GB"
        )
    )


@pytest.fixture
def reader_without_script(chromium: Browser) -> Iterator[Reader]:
    yield from _reading(chromium.new_context(java_script_enabled=False))


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A site of its own, at another origin than every server of ours."""
    with Shop() as opened:
        yield opened
