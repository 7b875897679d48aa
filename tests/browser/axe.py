"""What axe-core has against a page: light and dark, on a narrow telephone and on a desk."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any, Literal

from playwright.sync_api import Page

from tests.browser.packages import Missing, package_file
from tests.optional import skip_or_fail

LIGHT_AND_DARK: Sequence[Literal["light", "dark"]] = ("light", "dark")
WIDTHS = (320, 1280)  # CSS pixels: WCAG 2.2's reflow (1.4.10), and a desk

_RUN = """async (excluded) => {
  const options = { resultTypes: ["violations"], rules: { "target-size": { enabled: true } } };
  const found = await axe.run({ include: [["html"]], exclude: excluded.map((each) => [each]) }, options);
  return found.violations.map(({ id, impact, help, nodes }) => [
    id, impact, help, nodes.map(({ target, html }) => [target.flat().join(" "), html]),
  ]);
}"""


def violations(
    page: Page, *, widths: Sequence[int] = WIDTHS, exclude: Sequence[str] = ()
) -> list[str]:
    """Every rule that the page breaks, with the elements that break it; `assert violations(page) == []`.

    All of axe's rules that are on by default (WCAG 2.0 to 2.2, A and AA, and its best practices) and target size.
    Shadow roots are looked into. `exclude` takes selectors of what is not ours. The page has its size and colours back
    afterwards. What axe cannot judge by itself (text over pictures, the sense of words) is not among them.
    """
    return list(dict.fromkeys(_found(page, widths, exclude)))


def _found(page: Page, widths: Sequence[int], exclude: Sequence[str]) -> Iterator[str]:
    before = page.viewport_size
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())  # by the debugger's way: no Content-Security-Policy stands in it
    try:
        for scheme, width in product(LIGHT_AND_DARK, widths):
            # Without motion, so that nothing is judged half faded in.
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": 800})
            for broken in page.evaluate(_RUN, list(exclude)):
                yield f"{scheme}, {width} px: {_sentence(*broken)}"
    finally:
        page.emulate_media(color_scheme="null", reduced_motion="null")
        if before is not None:
            page.set_viewport_size(before)


def _sentence(rule: str, impact: str, help_: str, nodes: list[Any]) -> str:
    places = "; ".join(f"{target} {html[:120]}" for target, html in nodes[:3])
    more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
    return f"{rule} ({impact}): {help_}: {places}{more}"


@cache
def _source() -> str:
    return package_file("axe-core/axe.min.js").read_text()


def _axe() -> str:
    try:
        return _source()
    except Missing as missing:
        skip_or_fail(missing)
        raise
