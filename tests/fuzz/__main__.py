"""`make fuzz`: the machines at length, against a stack of their own."""

import argparse
import sys
from pathlib import Path

import psutil

from backend.up import embedded
from tests.fuzz.machines import Amounts, run
from tests.fuzz.target import Target
from tests.story.stack import Stack, StackDidNotStart, started_stack

MAX_P99 = 50.0  # milliseconds for `/health/live`, whatever is thrown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    for name, amount in vars(Amounts()).items():
        parser.add_argument(f"--{name}", type=int, default=amount)
    options = vars(parser.parse_args())
    seed = options.pop("seed")
    try:
        with started_stack("--without", "worker,beat") as stack:
            target = Target(
                stack.url,
                lambda: stack.log.read_text(errors="replace"),
                _web_process(stack),
                embedded.valkey_url(Path(stack.environment["ORDERCAST_DATA"])),
            )
            tally = run(target, Amounts(**options), seed, is_loud=True)
    except StackDidNotStart as error:
        print(f"the stack did not start: {error}", file=sys.stderr)
        return 1
    for what, times in tally.findings.items():
        print(f"{times:6} × {what}")
    print(tally.line())
    if tally.health_live_p99_ms >= MAX_P99:
        print(f"/health/live took {tally.health_live_p99_ms:g} ms (p99), more than {MAX_P99:g}")
        return 1
    return 0 if tally.is_clean else 1


def _web_process(stack: Stack) -> int:
    for child in psutil.Process(stack.process.pid).children(recursive=True):
        if "backend.asgi:application" in " ".join(child.cmdline()):
            return int(child.pid)
    raise StackDidNotStart("no web process is among the children of `manage.py up`")


if __name__ == "__main__":
    sys.exit(main())
