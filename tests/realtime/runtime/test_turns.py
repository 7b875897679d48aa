"""Long work is done in slices: each has its turn, and the loop runs in between."""

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar, copy_context

import pytest

from realtime.runtime import turns
from realtime.runtime.supervisor import Supervisor
from realtime.runtime.turns import Turns
from tests.waiting import eventually_async

who: ContextVar[str] = ContextVar("who", default="nobody")


def slices(name: str, many: int, done: list[str]) -> Iterator[None]:
    for _ in range(many):
        done.append(name)
        yield


async def test_nobodys_work_waits_for_all_of_anothers() -> None:
    taking_turns, done = Turns(Supervisor()), list[str]()

    taking_turns.add(slices("long", 1_000, done))
    taking_turns.add(slices("short", 2, done))
    await eventually_async(lambda: len(done) == 1_002)

    assert done[:5] == ["long", "short", "long", "short", "long"]


async def test_the_loop_has_its_turn_between_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 0.0)  # each slice takes as long as may be taken at once
    taking_turns, done = Turns(Supervisor()), list[str]()

    taking_turns.add(slices("work", 50, done))
    others = 0
    while len(done) < 50:
        await asyncio.sleep(0)
        others += 1

    assert others >= 50


async def test_a_slice_that_fails_ends_its_own_work_alone() -> None:
    taking_turns, done = Turns(Supervisor()), list[str]()

    def fails() -> Iterator[None]:
        yield
        raise RuntimeError("a defect")

    taking_turns.add(fails())
    taking_turns.add(slices("other", 3, done))
    await eventually_async(lambda: len(done) == 3)
    taking_turns.add(slices("later", 1, done))
    await eventually_async(lambda: done[-1] == "later")


async def test_work_is_done_in_the_context_of_whoever_added_it() -> None:
    taking_turns, found = Turns(Supervisor()), list[str]()

    def says() -> Iterator[None]:
        found.append(who.get())
        yield
        found.append(who.get())

    context = copy_context()
    context.run(who.set, "ada")
    context.run(taking_turns.add, says())
    await eventually_async(lambda: len(found) == 2)

    assert found == ["ada", "ada"]
