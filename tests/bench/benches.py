"""What is measured on one entrant at a time. Each function starts it, loads it, and gives figures."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice

from tests.bench.entrants import Entrant
from tests.bench.publishing import Publisher
from tests.bench.sockets import LoadError, Page, Pages

Figures = dict[str, float]
SILENCE = 10.0  # seconds without a frame, while some are due, after which they are lost
SAMPLES = 20  # pages whose frames are timed
MISSED = 3  # events that a page which comes back has missed


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything. `window`: events that may be on their way at once."""

    sockets: int
    window: int = 1
    seconds: float = 4.0
    warm_up: float = 1.5


@contextmanager
def standing(entrant: Entrant, orders: int, *, with_callbacks: bool = False) -> Iterator[Pages]:
    """The entrant started, and stopped whatever happens."""
    pages = Pages(entrant.port)
    try:
        entrant.start(orders)
        yield pages
    except LoadError as error:
        raise LoadError(f"{entrant.name}: {error}; the server said: {entrant.said()}") from error
    finally:
        entrant.stop()
        pages.close()


def fanout(entrant: Entrant, size: Size) -> Figures:
    """All sockets watch one order, whose events follow each other as fast as they are delivered."""
    with standing(entrant, 1) as pages:
        pages.open(entrant.page(entrant.orders[0]) for _ in range(size.sockets))
        return Stream(entrant, pages, size, per_event=size.sockets).run()


def spread(entrant: Entrant, size: Size) -> Figures:
    """Each socket watches an order of its own; one event of each in turn."""
    entrant.checks_positions = False  # what is announced is committed at the end
    with standing(entrant, size.sockets) as pages:
        pages.open(entrant.page(ref) for ref in entrant.orders)
        return Stream(entrant, pages, size, per_event=1).run()


def memory(entrant: Entrant, size: Size) -> Figures:
    """What the process grows by for each idle socket with an order of its own, after the first fifty."""
    first = 50
    with standing(entrant, size.sockets + first) as pages:
        pages.open(entrant.page(ref) for ref in entrant.orders[:first])
        idle(pages, size.warm_up)
        before = entrant.process.rss()
        pages.open(entrant.page(ref) for ref in entrant.orders[first:])
        # Long enough for the position check to have gone over all of them, and for each to have been pinged.
        idle(pages, size.seconds)
        grown = entrant.process.rss() - before
    return {"kb_per_socket": grown / size.sockets / 1024}


def resume(entrant: Entrant, size: Size) -> Figures:
    """All pages come back at once, three events behind. Where there is no history, they merely come back."""
    warm = size.sockets // 10
    with standing(entrant, size.sockets + warm) as pages:
        pages.open(entrant.page(ref) for ref in entrant.orders[:warm])
        idle(pages, size.warm_up)
        away = entrant.orders[warm:]
        entrant.commit([(ref, 0) for ref in away for _ in range(MISSED)])
        cpu, began = entrant.process.cpu_seconds(), time.perf_counter()
        pages.open([entrant.page_that_missed(ref, MISSED) for ref in away], at_once=len(away))
        took = time.perf_counter() - began
        return {"seconds": took, "cpu_seconds": entrant.process.cpu_seconds() - cpu}


def idle(pages: Pages, seconds: float) -> None:
    """Only answer pings."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        pages.pump(left)


class Latencies:
    """The times between an event's sending and its frame's arrival, at the pages that are asked to tell."""

    def __init__(self) -> None:
        self.sent: dict[tuple[str, int], float] = {}
        self.seconds: list[float] = []

    def on_frame(self, page: Page, body: bytes) -> None:
        at = body.find(b'"version":') + 10
        sent = self.sent.get((page.key, int(body[at : body.find(b",", at)])))
        if sent is not None:
            self.seconds.append(time.perf_counter() - sent)

    def figures(self) -> Figures:
        ordered = sorted(self.seconds) or [0.0]
        return {
            "p50_ms": ordered[len(ordered) // 2] * 1e3,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
        }


class Stream:
    """A closed loop: the next event leaves when there is room in the window, so nothing lags and nothing is dropped."""

    def __init__(self, entrant: Entrant, pages: Pages, size: Size, *, per_event: int) -> None:
        self._entrant, self._pages, self._size, self._per_event = entrant, pages, size, per_event
        self._next = cycle(entrant.orders)
        self._versions = dict.fromkeys(entrant.orders, entrant.head)
        self._sent = 0
        self._uncommitted: list[tuple[str, int]] = []
        self._latencies = Latencies()
        self._publisher = Publisher()
        step = max(1, len(pages.pages) // SAMPLES)
        self._timed = {page.key for page in pages.pages[::step]}
        for page in pages.pages[::step]:
            page.on_frame = self._latencies.on_frame

    def run(self) -> Figures:
        self._entrant.settle()
        self._feed(self._size.warm_up)
        self._latencies.seconds.clear()
        process, frames = self._entrant.process, self._pages.frames
        cpu, own, began = process.cpu_seconds(), time.process_time(), time.perf_counter()
        self._feed(self._size.seconds)
        took = time.perf_counter() - began
        cpu, own = process.cpu_seconds() - cpu, time.process_time() - own
        frames = self._pages.frames - frames
        self._finish()
        return {
            "frames_per_s": frames / took,
            "cpu_us_per_frame": cpu / frames * 1e6,
            "server_busy": cpu / took,
            "load_busy": own / took,
            **self._latencies.figures(),
        }

    def _feed(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        # Of a wide window, some at a time: a send for each event would be the load's own bottleneck.
        least = max(1, self._size.window // 8)
        while time.perf_counter() < end:
            room = self._size.window - (self._sent - self._pages.frames // self._per_event)
            if room >= least:
                self._send(room)
            self._pump()

    def _send(self, count: int) -> None:
        events = []
        for ref in islice(self._next, count):
            self._versions[ref] += 1
            events.append((ref, self._versions[ref]))
        if self._per_event > 1:
            self._entrant.commit(events)
        else:
            self._uncommitted += events
        now = time.perf_counter()
        self._latencies.sent.update((event, now) for event in events if event[0] in self._timed)
        self._publisher.send(self._entrant.message(*event) for event in events)
        self._sent += count

    def _pump(self, timeout: float = 0.002) -> None:
        frames, deadline = self._pages.frames, time.monotonic() + SILENCE
        self._pages.pump(timeout)
        while self._pages.frames == frames and self._sent * self._per_event > frames:
            self._pages.pump(timeout)
            if time.monotonic() > deadline:
                missing = self._sent * self._per_event - frames
                raise LoadError(f"{missing} frames did not come within {SILENCE} s")

    def _finish(self) -> None:
        """All that was sent has come, to each page as much as it should."""
        while self._pages.frames < self._sent * self._per_event:
            self._pump()
        self._publisher.close()
        self._entrant.commit(self._uncommitted)
        head = self._entrant.head
        wrong = [p for p in self._pages.pages if p.frames != self._versions[p.key] - head]
        if wrong:
            raise LoadError(f"{len(wrong)} pages got too many frames or too few")
