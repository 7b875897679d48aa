"""`make chaos`: everything goes wrong for `CHAOS_SECONDS`, and no page may lose anything. `SEED=` plays a plan again.

The last line is for machines. Exit code 1 if something was lost, doubled or out of order.
"""

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from backend.up.child import EmbeddedError
from tests.chaos import ground
from tests.chaos.wires import Wire
from tests.ports import free_port


def _say(words: str) -> None:
    print(words, flush=True)


async def _main(data: Path, seconds: float, pages: int, seed: int) -> int:
    ports = free_port(), free_port()
    order = list(ports)

    def in_turn() -> list[int]:
        order.append(order.pop(0))
        return order

    front = Wire(in_turn)
    await front.open()
    sandbox = ground.open_sandbox(data)
    ground.prepare_environment(data, sandbox, f"http://127.0.0.1:{front.port}")

    import django

    django.setup()
    # Only now: importing these reads the settings.
    from tests.chaos.run import Amounts, run
    from tests.chaos.town import Town

    town = Town(data, ports, sandbox)
    try:
        outcome = await run(data, town, front, Amounts(seconds, pages, seed), _say)
    finally:
        front.close()
        town.close()
    if "accepted by plain ASGI" in (data / "web_1.out").read_text(errors="replace"):
        _say("sockets were accepted by plain ASGI")
    _say(f"CHAOS {json.dumps(outcome.line())}")
    return int(not outcome.is_clean)


def main() -> int:
    seconds = float(os.environ.get("CHAOS_SECONDS") or 60)
    pages = int(os.environ.get("CHAOS_PAGES") or 200)
    seed = int(os.environ.get("SEED") or random.randrange(10**9))
    _say(f"{seconds:g} seconds, {pages} pages; again with SEED={seed}")
    # SIGTERM as Ctrl-C: everything that was started is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(
            prefix="ordercast-chaos-", ignore_cleanup_errors=True
        ) as folder:
            code = asyncio.run(_main(Path(folder), seconds, pages, seed))
    except (EmbeddedError, AssertionError) as error:
        print(f"chaos could not be made after {time.monotonic() - began:.0f} s: {error!r}")
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything is stopped", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
