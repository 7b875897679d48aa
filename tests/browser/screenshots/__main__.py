"""`make screenshots`: starts what `make demo` starts, drives it, and draws docs/screenshots anew.

Names as arguments (`ARGS="order-paid my-orders"`) take those alone. For fonts as in the pictures:
`apt-get install fonts-inter fonts-noto-cjk`.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.chromium import FLAGS, chromium_path
from tests.browser.screenshots.pictures import Frame, animate, keep
from tests.browser.screenshots.scenes import Scene, Stage, play
from tests.browser.screenshots.shots import Shot, shots
from tests.story.stack import ROOT, started_stack

FOLDER = ROOT / "docs" / "screenshots"
FONTS = Path(__file__).parent / "fonts.conf"
TURNING = "turning.gif"
MOST_FRAMES = 30


def main(names: set[str]) -> int:
    os.environ["FONTCONFIG_FILE"] = str(FONTS)
    chromium = chromium_path()
    if chromium is None:
        print("there is no Chromium on this machine (on Debian: apt-get install chromium)")
        return 1
    with started_stack() as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        stage = Stage(stack.url, stack.sandbox_url)
        sizes = draw(browser, stage, play(stage), names)
        browser.close()
    for name, size in sizes.items():
        print(f"{size / 1000:7.0f} kB  {name}")
    print(f"{sum(sizes.values()) / 1e6:7.1f} MB  {len(sizes)} pictures")
    return 0


def draw(
    browser: Browser, stage: Stage, scenes: dict[str, Scene], names: set[str]
) -> dict[str, int]:
    """Draw these pictures, or all where none is named; the size of each in bytes."""
    FOLDER.mkdir(exist_ok=True)
    sizes = {}
    if not names or "turning" in names:  # first, so that the staff's board has something to show
        sizes["turning"] = animate(_turning(browser, stage), FOLDER / TURNING)
    sizes |= {
        shot.name: keep(_picture(browser, stage, shot), FOLDER / f"{shot.name}.png")
        for shot in shots(scenes)
        if not names or shot.name in names
    }
    return sizes


def _context(
    browser: Browser, stage: Stage, shot: Shot, scale: float | None = None
) -> BrowserContext:
    width, height = shot.size
    scale = scale or (2 if width < 600 else 1.25)
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=scale, locale=shot.language,
        timezone_id="Europe/Berlin", color_scheme=shot.scheme, reduced_motion="reduce",
    )  # fmt: skip
    if shot.as_demo:
        page = context.new_page()
        page.goto(f"{stage.url}/login/")
        page.fill("#id_username", "demo")
        page.fill("#id_password", "demo")
        page.click("button.main")
        page.close()
    return context


def _picture(browser: Browser, stage: Stage, shot: Shot) -> bytes:
    context = _context(browser, stage, shot)
    page = context.new_page()
    page.goto(f"{stage.url}{shot.path}")
    if shot.wait_for:
        page.wait_for_selector(shot.wait_for)
    if shot.is_rtl:
        page.evaluate("document.documentElement.dir = 'rtl'")
    if shot.is_print:
        page.emulate_media(media="print")
        page.evaluate(
            "document.body.style.padding = '18mm'"
        )  # a printer's margin, which a picture has not
    png = page.screenshot(full_page=True)
    context.close()
    return png


def _turning(browser: Browser, stage: Stage) -> list[Frame]:
    """An order page beside the provider's checkout, and how it turns when somebody pays there."""
    scene = stage.begin(stage.order("Two bags of coffee, ground"))
    shot = Shot(name="turning", path=scene.path, size=(400, 560))
    context = _context(browser, stage, shot, scale=1)
    page, checkout = context.new_page(), context.new_page()
    page.goto(f"{stage.url}{scene.path}")
    page.wait_for_selector('[data-connection="live"]')
    checkout.goto(scene.checkout_url)
    page.emulate_media(reduced_motion="no-preference")
    button = checkout.locator('button[value="pay"]')
    box = button.bounding_box()
    assert box
    x, y = int(box["x"] + box["width"] / 2) + 416, int(box["y"] + box["height"] / 2)
    before = (page.screenshot(), checkout.screenshot())
    frames = [Frame(before, 1_500, (x + 80, y + 150)), Frame(before, 100, (x + 30, y + 60))]
    frames.append(Frame(before, 600, (x, y)))
    button.click()
    frames += _frames_while_it_turns(page, checkout, (x, y))
    context.close()
    return frames


def _frames_while_it_turns(page: Page, checkout: Page, pointer: tuple[int, int]) -> list[Frame]:
    frames: list[Frame] = []
    is_paid = False
    while not is_paid and len(frames) < MOST_FRAMES:
        is_paid = page.locator('[data-state="paid"]').count() > 0
        frames.append(Frame((page.screenshot(), checkout.screenshot()), 100, pointer))
    for _ in range(6):  # its icon and its newest entry come in softly
        frames.append(Frame((page.screenshot(), frames[-1].pngs[1]), 80, pointer))
    frames[-1].ms = 4_000
    return frames


if __name__ == "__main__":
    sys.exit(main(set(sys.argv[1:])))
