"""What every page saw, held against the journal. Nothing here knows how events travel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.chaos.pages import Span, Track

Outages = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Fact:
    """One event of the journal; `at` is when its transaction was committed, in wall-clock seconds."""

    version: int
    id: str
    at: float


Journal = Mapping[str, Sequence[Fact]]  # by order, in the order of versions


@dataclass
class Verdict:
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    worst_staleness_ms: int = 0
    stalest: str = ""
    examples: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)  # seconds, of each event on each page

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.out_of_order)

    @property
    def half_within_ms(self) -> int:
        return round(median(self.late or [0]) * 1000)


def judge(pages: Mapping[int, Iterable[Track]], journal: Journal, outages: Outages) -> Verdict:
    """`outages` are the spans in which PostgreSQL was not there; nobody can be blamed for those."""
    verdict = Verdict()
    for number, tracks in pages.items():
        for track in tracks:
            facts = journal.get(track.order, ())
            _judge_sequence(verdict, number, track, facts)
            for span in track.spans:
                _judge_staleness(verdict, number, span, track, facts, outages)
    return verdict


def _judge_sequence(verdict: Verdict, page: int, track: Track, facts: Sequence[Fact]) -> None:
    if track.base < 0:
        if track.is_watched:
            verdict.lost += len(facts)
            verdict.examples.append(f"page {page} never saw {track.order}")
        return
    last = facts[-1].version if track.is_watched and facts else track.version
    wanted = {fact.version: fact.id for fact in facts if track.base < fact.version <= last}
    passed: set[int] = set()
    highest = track.base
    for seen in track.seen:
        if seen.version in passed:
            verdict.doubled += 1
            verdict.examples.append(f"page {page}: {seen.id} twice")
        elif seen.version < highest:
            verdict.out_of_order += 1
            verdict.examples.append(f"page {page}: {seen.id} after version {highest}")
        if wanted.get(seen.version) == seen.id:
            passed.add(seen.version)
        highest = max(highest, seen.version)
    missing = sorted(wanted.keys() - passed)
    verdict.lost += len(missing)
    if missing:
        verdict.examples.append(f"page {page} of {track.order}: never saw {missing}")


def _judge_staleness(
    verdict: Verdict,
    page: int,
    span: Span,
    track: Track,
    facts: Sequence[Fact],
    outages: Outages,
) -> None:
    for fact in facts:
        if fact.version <= span.version or (span.ended and fact.at >= span.ended):
            continue
        # What was not seen before the line broke was at least so late.
        until = span.seen.get(fact.version, span.ended)
        since = max(fact.at, span.began)
        late = until - since - _overlap(since, until, outages)
        verdict.late.append(late)
        if late * 1000 > verdict.worst_staleness_ms:
            verdict.worst_staleness_ms = round(late * 1000)
            verdict.stalest = f"page {page}, {fact.id} of {track.order}"


def _overlap(since: float, until: float, outages: Outages) -> float:
    return sum(max(0.0, min(until, end) - max(since, begin)) for begin, end in outages)
