"""All machines, one after the other, and whether the process is well after each."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import api, callbacks, framing, garbage, sockets
from tests.fuzz.tally import Tally
from tests.fuzz.target import Target

# For `make test`: every machine, a little.
BRIEFLY = {"requests": 250, "frames": 1_500, "callbacks": 120, "connections": 28}


@dataclass(frozen=True)
class Amounts:
    """How much to send."""

    requests: int = 20_500
    frames: int = 101_000
    callbacks: int = 10_000
    connections: int = 400


def run(target: Target, amounts: Amounts, seed: int = 1, *, is_loud: bool = False) -> Tally:
    tally = Tally()
    machines: dict[str, Callable[[], None]] = {
        "callbacks": lambda: callbacks.run(target, tally, amounts.callbacks),
        "garbage": lambda: garbage.run(target, tally, amounts.connections, seed),
        "framing": lambda: framing.run(target, tally, amounts.connections),
        "sockets": lambda: sockets.run(target, tally, amounts.frames, seed),
        "api": lambda: api.run(target, tally, amounts.requests, seed),
    }
    for name, machine in machines.items():
        began = time.monotonic()
        machine()
        target.check(tally, name)
        if is_loud:
            print(
                f"{name}: {time.monotonic() - began:.0f} s; {tally.line()}",
                file=sys.stderr,
                flush=True,
            )
    return tally
