"""`make story`: plays what happens to people who take payments, against a running Ordercast.

`STORY_URL` and `STORY_TOKEN` name one; without them a stack of its own is started on free ports, with short check
delays, and stopped again.
"""

import asyncio
import inspect
import os
import sys

import httpx

from tests.story import chapters
from tests.story.backoffice import BackOffice
from tests.story.shop import Shop
from tests.story.stack import StackDidNotStart, started_stack
from tests.story.teller import CHAPTERS, Teller

DEMO_TOKEN = "demo-service-token"


async def tell(url: str, token: str) -> int:
    """Play all chapters; the exit code."""
    teller = Teller()
    shop = Shop(url, token, teller)
    office = BackOffice(
        url, os.environ.get("STORY_USER", "demo"), os.environ.get("STORY_PASSWORD", "demo")
    )
    known = {"shop": shop, "office": office}
    try:
        await shop.api.get("/health/live")
        for title, chapter in CHAPTERS:
            wanted = {name: known[name] for name in inspect.signature(chapter).parameters}
            await teller.tell(title, chapter(**wanted))
    except httpx.TransportError as error:
        print(f"nobody answers at {url}: {error}", file=sys.stderr)
        teller.failed += 1
    finally:
        await shop.close()
        await office.close()
    return teller.close()


def main() -> int:
    assert chapters  # its import has filled CHAPTERS
    url, token = os.environ.get("STORY_URL"), os.environ.get("STORY_TOKEN", DEMO_TOKEN)
    if url:
        return asyncio.run(tell(url, token))
    try:
        with started_stack() as stack:
            print(f"a stack of its own is ready at {stack.url} after {stack.seconds:.1f} s")
            return asyncio.run(tell(stack.url, token))
    except StackDidNotStart as error:
        print(f"the stack did not start: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
