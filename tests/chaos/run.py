"""One run: everything is started, goes wrong by plan, is let alone, and is judged."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.chaos import plan, records
from tests.chaos.gossip import Gossip
from tests.chaos.load import Load
from tests.chaos.pages import Page, Track, stop
from tests.chaos.town import READY_WITHIN, Town
from tests.chaos.troubles import Troubles
from tests.chaos.verdict import Verdict, judge
from tests.chaos.wires import Wire
from tests.sandbox import ROOT
from tests.skew import library
from tests.waiting import eventually_async

QUIET_WITHIN = 90.0  # seconds after the last fault
QUIET_FOR = 2.0
DRIVERS = 10
SSE_SHARE = 5  # every so many pages is one

Say = Callable[[str], None]


@dataclass(frozen=True)
class Amounts:
    seconds: float = 60.0
    pages: int = 200
    seed: int = 1
    pause: float = 0.1  # between two moves of a driver


@dataclass
class Outcome:
    verdict: Verdict
    events: int = 0
    pages: int = 0
    frames: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    ended_by_themselves: dict[str, int] = field(default_factory=dict)  # parts, and how often
    unbacked: list[str] = field(default_factory=list)  # callbacks answered 2xx, without a receipt
    is_verified: bool = True
    hints: int = 0  # that the worker gave away; without any, nothing was tried

    @property
    def is_clean(self) -> bool:
        is_tried = bool(self.events and self.hints)
        is_whole = self.is_verified and not self.unbacked and not self.ended_by_themselves
        return self.verdict.is_clean and is_whole and is_tried

    def line(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "pages": self.pages,
            "frames": self.frames,
            "kills": {part: self.kills[part] for part in plan.PARTS},
            "troubles": {name: self.troubles[name] for name in plan.TROUBLES},
            "ended_by_themselves": self.ended_by_themselves,
            "lost": self.verdict.lost,
            "doubled": self.verdict.doubled,
            "out_of_order": self.verdict.out_of_order,
            "worst_staleness_ms": self.verdict.worst_staleness_ms,
            "callbacks_acknowledged_but_not_committed": len(self.unbacked),
        }


class Run:
    def __init__(self, town: Town, front: Wire, amounts: Amounts, say: Say) -> None:
        self._town, self._front, self._amounts, self._say = town, front, amounts, say
        self._began = time.monotonic()
        self._database = os.environ["DATABASE_URL"]
        self.kills: Counter[str] = Counter()
        self._is_over = asyncio.Event()

    async def play(self) -> Outcome:
        amounts, town = self._amounts, self._town
        sandbox = town.sandbox
        load = Load(f"http://127.0.0.1:{self._front.port}", sandbox.url, sandbox.key, amounts.seed)
        gossip = Gossip(settings.VALKEY_URL, settings.ORDERCAST_CHANNEL_PREFIX, amounts.seed)
        telling = [asyncio.create_task(gossip.run())]
        drivers = [asyncio.create_task(load.drive(amounts.pause)) for _ in range(DRIVERS)]
        try:
            await eventually_async(lambda: len(load.orders) >= 10, READY_WITHIN)
            async with self._pages(load) as pages:
                troubles = await self._go_wrong([page.wire for page in pages])
                self._say("the faults are over")
                await stop(drivers)
                self._is_over.set()
                gossip.is_honest = True
                await self._settle(pages)
            for page in pages:
                for track in page.current.values():
                    track.broke(time.time())
            endings = sum((Counter(page.endings) for page in pages), Counter[str]())
            self._say(
                f"{len(load.orders)} orders, {load.failures} requests failed, {gossip.heard} hints"
            )
            self._say(f"visits ended: {dict(endings)}")
            outcome = await asyncio.to_thread(self._judge, pages)
            outcome.hints, outcome.troubles = gossip.heard, troubles
            return outcome
        finally:
            await stop([*drivers, *telling])
            await load.close()

    @asynccontextmanager
    async def _pages(self, load: Load) -> AsyncIterator[list[Page]]:
        pace = min(1.0, self._amounts.seconds / 30)
        async with AsyncExitStack() as cleanup:
            pages = []
            for number in range(self._amounts.pages):
                life = plan.Life(self._amounts.seed, number, pace)
                wire = Wire(self._by_chance(random.Random(f"wire:{number}")))
                await wire.open()
                cleanup.callback(wire.close)
                pages.append(Page(number, life, wire, load, is_sse=number % SSE_SHARE == 0))
            living = [asyncio.create_task(page.live(self._is_over)) for page in pages]
            cleanup.push_async_callback(stop, living)
            self._began = time.monotonic()
            yield pages

    def _by_chance(self, rng: random.Random) -> Callable[[], list[int]]:
        ports = [web.port for web in self._town.webs]
        return lambda: rng.sample(ports, len(ports))

    async def _go_wrong(self, wires: Sequence[Wire]) -> Counter[str]:
        """Returns what there was besides kills."""
        seed, seconds = self._amounts.seed, self._amounts.seconds
        locks = {part: asyncio.Lock() for part in plan.PARTS}
        troubles = Troubles(self._town, wires, locks, self._say)
        await troubles.prepare()
        async with asyncio.TaskGroup() as deeds:
            for kill in plan.kills(seed, seconds):
                deeds.create_task(self._kill(kill, locks[kill.part]))
            for trouble in plan.troubles(seed, seconds):
                if trouble.name == "worker_skewed" and library() is None:
                    self._say(
                        "left out: worker_skewed takes libfaketime (apt-get install faketime)"
                    )
                    continue
                deeds.create_task(troubles.meet(trouble, self._began))
            deeds.create_task(asyncio.sleep(seconds))
        self._say(f"the flood asked for {troubles.unknown_orders:,} orders that nobody has")
        return troubles.had

    async def _kill(self, kill: plan.Kill, lock: asyncio.Lock) -> None:
        await asyncio.sleep(max(0.0, self._began + kill.at - time.monotonic()))
        async with lock:
            part = self._town.parts[kill.part]
            await part.kill(kill.manner)
            self.kills[kill.part] += 1
            await asyncio.sleep(kill.down)
            await part.start()
            now = time.monotonic() - self._began
            self._say(f"{now:6.1f} s  {kill.part} is back after {kill.manner}")

    async def _settle(self, pages: list[Page]) -> None:
        """Until the journal rests and every page has come to its end; or until patience does."""
        await self._town.webs_answer()
        last: dict[str, int] = {}
        rested_at = time.monotonic()

        async def is_quiet() -> bool:
            nonlocal last, rested_at
            heads = await asyncio.to_thread(records.heads, self._database)
            if heads != last:
                last, rested_at = heads, time.monotonic()
            return time.monotonic() - rested_at > QUIET_FOR and not _late(pages, heads)

        try:
            _: bool = await eventually_async(is_quiet, QUIET_WITHIN)
        except AssertionError:
            late, rest = len(_late(pages, last)), time.monotonic() - rested_at
            self._say(
                f"not quiet: {late} pages are behind, the journal has rested for {rest:.1f} s"
            )

    def _judge(self, pages: list[Page]) -> Outcome:
        facts = records.journal(self._database)
        tracks = {page.number: page.tracks for page in pages}
        verdict = judge(tracks, facts, self._town.postgres.outages)
        data = self._town.sandbox.data
        outcome = Outcome(
            verdict,
            events=sum(len(stream) for stream in facts.values()),
            pages=len(pages),
            frames=sum(page.frames for page in pages),
            kills=self.kills,
            ended_by_themselves=self._town.ended_by_themselves(),
            unbacked=records.acknowledged_but_not_committed(data, self._database),
            is_verified=self._verify(),
        )
        for example in [*verdict.examples[:20], *outcome.unbacked[:5]]:
            self._say(f"WRONG  {example}")
        self._say(f"stalest: {verdict.stalest}; half of all within {verdict.half_within_ms} ms")
        return outcome

    def _verify(self) -> bool:
        """Rows and histories still agree."""
        done = subprocess.run(
            [sys.executable, "manage.py", "verify_orders"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self._say(f"verify_orders: {(done.stdout + done.stderr).strip()[-300:]}")
        return done.returncode == 0


def _late(pages: list[Page], heads: dict[str, int]) -> list[Track]:
    return [
        track
        for page in pages
        for track in page.current.values()
        if not track.is_whole or track.version != heads.get(track.order)
    ]


async def run(data: Path, town: Town, front: Wire, amounts: Amounts, say: Say) -> Outcome:
    """Start what is not there yet, and play."""
    began = time.monotonic()
    await town.start("postgres")
    await asyncio.to_thread(_prepare)
    await asyncio.to_thread(records.remember_commit_times, os.environ["DATABASE_URL"])
    await town.parts["postgres"].kill("immediate")
    await town.start("postgres", "valkey", "web_1", "web_2", "worker", "beat")
    town.postgres.outages.clear()
    await town.webs_answer()
    say(f"everything is ready after {time.monotonic() - began:.1f} s, in {data}")
    return await Run(town, front, amounts, say).play()


def _prepare() -> None:
    """As a process: this one keeps no connection of Django's."""
    subprocess.run([sys.executable, "manage.py", "prepare", "-v", "0"], cwd=ROOT, check=True)
