"""Rounds in turn with the peers, and what they come to: one line for each measurement, and one JSON line at the end."""

import json
import os
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.bench.benches import Figures, Size, fanout, memory, resume, spread
from tests.bench.entrants import ENTRANTS, Entrant, what_socketio_lacks
from tests.bench.journey import journey
from tests.bench.machine import NotReady, given

PEERS = ("tutorial", "socketio")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """`key` is the figure that is compared; as a rule less of it is better."""

    measure: Callable[[Entrant, Size], Figures]
    size: Size
    key: str
    is_more_better: bool = False
    entrants: tuple[str, ...] = ("ours", "plain", *PEERS)


BENCHES = {
    "fanout": Bench(
        measure=fanout,
        size=Size(sockets=1_000, window=4),
        key="frames_per_s",
        is_more_better=True,
    ),
    "spread": Bench(
        measure=spread,
        size=Size(sockets=1_000, window=1_000),
        key="frames_per_s",
        is_more_better=True,
    ),
    "memory": Bench(
        measure=memory, size=Size(sockets=5_000, seconds=30.0, warm_up=2.0), key="kb_per_socket"
    ),
    "resume": Bench(
        measure=resume,
        size=Size(sockets=2_000),
        key="seconds",
        entrants=("ours", "plain", "by_hello", *PEERS),
    ),
    "journey": Bench(
        measure=journey,
        size=Size(sockets=3_000, window=32, seconds=5.0, warm_up=2.0),
        key="p50_ms",
        entrants=("ours", "by_celery", "tutorial"),
    ),
}


def run(name: str, say: Callable[[str], None]) -> str:
    """All rounds of a bench; returns its BENCH line.

    BENCH_ROUNDS, BENCH_SECONDS and BENCH_SOCKETS shorten it; BENCH_WITHOUT=tutorial,socketio leaves peers out, and
    BENCH_WITH=by_uvicorn,by_send adds ways of ours that are not measured as a rule. Raises `NotReady` for what makes
    no sense.
    """
    bench = BENCHES[name]
    if added := [each for each in os.environ.get("BENCH_WITH", "").split(",") if each]:
        if unknown := set(added) - ENTRANTS.keys():
            known = ", ".join(sorted(ENTRANTS))
            raise NotReady(f"BENCH_WITH={unknown.pop()}: what can be added is {known}")
        bench = replace(bench, entrants=tuple(dict.fromkeys((*bench.entrants, *added))))
    rounds = int(given("BENCH_ROUNDS", 3))
    size = _shortened(bench.size)
    without = [each for each in os.environ.get("BENCH_WITHOUT", "").split(",") if each]
    peers = ENTRANTS.keys() - {"ours"}
    if unknown := set(without) - peers:
        known = ", ".join(sorted(peers))
        raise NotReady(f"BENCH_WITHOUT={unknown.pop()}: what can be left out is {known}")
    entrants = [entrant for entrant in bench.entrants if entrant not in without]
    if "socketio" in entrants and (missing := what_socketio_lacks()):
        say(f"without Socket.IO: {missing}")
        entrants.remove("socketio")
    measured: dict[str, list[Figures]] = {entrant: [] for entrant in entrants}
    for number in range(1, rounds + 1):
        for entrant in entrants:
            figures = bench.measure(ENTRANTS[entrant](), size)
            measured[entrant].append(figures)
            shown = "  ".join(f"{key} {_rounded(value):g}" for key, value in figures.items())
            say(f"{name} round {number} of {rounds}  {entrant:<9} {shown}")
    return "BENCH " + json.dumps(summary(name, bench, size, measured))


def _shortened(size: Size) -> Size:
    if seconds := given("BENCH_SECONDS"):
        size = replace(size, seconds=seconds, warm_up=min(size.warm_up, seconds))
    if sockets := given("BENCH_SOCKETS"):
        size = replace(size, sockets=int(sockets))
    return size


def summary(
    name: str, bench: Bench, size: Size, measured: Mapping[str, list[Figures]]
) -> dict[str, Any]:
    """Medians of the compared figure, the ratios to the peers (above 1: ours is better), and ours in full."""
    medians = {
        entrant: statistics.median(figures[bench.key] for figures in rounds)
        for entrant, rounds in measured.items()
    }
    line: dict[str, Any] = {"bench": name, "key": bench.key, "sockets": size.sockets}
    line |= {entrant: _rounded(value) for entrant, value in medians.items()}
    for peer in bench.entrants[1:]:
        line.setdefault(peer, None)
        line[f"ratio_{peer}"] = _ratio(medians["ours"], medians.get(peer), bench.is_more_better)
    for entrant, rounds in measured.items():
        of_key = [figures[bench.key] for figures in rounds]
        line[f"spread_{entrant}"] = [_rounded(min(of_key)), _rounded(max(of_key))]
        for key in rounds[0]:
            value = _rounded(statistics.median(figures[key] for figures in rounds))
            line[key if entrant == "ours" else f"{entrant}_{key}"] = value
    return line


def _ratio(ours: float, peer: float | None, is_more_better: bool) -> float | None:
    if peer is None:
        return None
    return round(ours / peer if is_more_better else peer / ours, 2)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
