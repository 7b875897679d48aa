"""All machines, one after the other, and whether the process is well after each."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import api, bombs, callbacks, floods, foreign, framing, garbage, hints, sockets
from tests.fuzz.pulse import Pulse, percentile
from tests.fuzz.tally import Tally
from tests.fuzz.target import Target

# For `make test`: every machine, a little.
BRIEFLY = {
    "requests": 250,
    "frames": 1_500,
    "callbacks": 120,
    "connections": 28,
    "bombs": 1,
    "foreign": 1,
    "hints": 60,
    "flood": 2,
}


@dataclass(frozen=True)
class Amounts:
    """How much to send."""

    requests: int = 20_500
    frames: int = 101_000
    callbacks: int = 10_000
    connections: int = 400
    bombs: int = 3  # rounds
    foreign: int = 20  # rounds
    hints: int = 2_000
    flood: int = 20  # seconds


def run(target: Target, amounts: Amounts, seed: int = 1, *, is_loud: bool = False) -> Tally:
    tally = Tally()
    machines: dict[str, Callable[[], None]] = {
        "callbacks": lambda: callbacks.run(target, tally, amounts.callbacks),
        "garbage": lambda: garbage.run(target, tally, amounts.connections, seed),
        "framing": lambda: framing.run(target, tally, amounts.connections),
        "sockets": lambda: sockets.run(target, tally, amounts.frames, seed),
        "bombs": lambda: bombs.run(target, tally, amounts.bombs),
        "foreign": lambda: foreign.run(target, tally, amounts.foreign),
        "hints": lambda: hints.run(target, tally, amounts.hints, seed),
        "flood": lambda: floods.run(target, tally, amounts.flood),
        "api": lambda: api.run(target, tally, amounts.requests, seed),
    }
    beats: list[float] = []
    for name, machine in machines.items():
        began = time.monotonic()
        with Pulse(target.url) as pulse:
            machine()
        beats += pulse.milliseconds
        tally.health_live_p99_ms = percentile(beats, 0.99)
        target.check(tally, name)
        if is_loud:
            print(f"{name}: /health/live {pulse.said()}", file=sys.stderr)
            print(
                f"{name}: {time.monotonic() - began:.0f} s; {tally.line()}",
                file=sys.stderr,
                flush=True,
            )
    return tally
