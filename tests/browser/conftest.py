"""A real Chromium (the system's), and web processes for it to open."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.realtime.conftest import start_server

__all__ = ["start_server"]

# Nothing of Chromium's own may leave this machine.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for the whole session: while Playwright's synchronous API runs, no other event loop can."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps a loop running in this thread, and Django takes that for async code. It is not.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Reader:
    """Somebody with a browser. `complaints` is what its console said, and what it could not load."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str) -> Page:
        page = self.context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture
def reader(chromium: Browser) -> Iterator[Reader]:
    """A reader in Berlin with a telephone."""
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, timezone_id="Europe/Berlin", locale="en-GB"
    )
    yield Reader(context)
    context.close()


@pytest.fixture
def reader_without_script(chromium: Browser) -> Iterator[Reader]:
    context = chromium.new_context(java_script_enabled=False)
    yield Reader(context)
    context.close()
