"""That the benches still run: a few sockets, a moment each. What they measure here means nothing."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.bench import rounds
from tests.bench.benches import Figures, Size
from tests.bench.machine import ROOT, NotReady
from tests.bench.rounds import BENCHES, Bench, summary
from tests.bench.sockets import Page, Pages


def frame(body: bytes) -> bytes:
    size = len(body)
    return b"\x81" + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")) + body


@pytest.mark.parametrize("cut", [1, 2, 3, 130, 131, 300])
def test_frames_are_counted_wherever_the_stream_is_cut(cut: int) -> None:
    pages = Pages(0)
    page = Page("order", "")
    page.is_upgraded = page.is_ready = True
    stream = b"".join(frame(b"x" * size) for size in (50, 125, 126, 400, 60))

    for start in range(0, len(stream), cut):
        data, page.rest = page.rest + stream[start : start + cut], b""
        pages._count(page, data)

    assert (page.frames, pages.frames, page.rest) == (5, 5, b"")


def test_a_page_that_missed_events_is_ready_only_with_all_of_them() -> None:
    pages = Pages(0)
    page = Page("order", "", ready=(b'"synced"', b'"version":4'))
    page.is_upgraded = True

    pages._take(page, frame(b'{"type":"welcome","protocol":"orders.v1"}'))
    pages._take(page, frame(b'{"type":"synced","version":3,"mode":"current"}'))
    was_ready = page.is_ready
    pages._take(page, frame(b'{"type":"synced","events":[{"version":4}]}'))

    assert (was_ready, page.is_ready, pages.ready) == (False, True, 1)


def test_the_line_at_the_end_compares_medians_and_says_who_was_missing() -> None:
    rounds: dict[str, list[Figures]] = {
        "ours": [{"frames_per_s": value} for value in (900.0, 300.0, 600.0)],
        "tutorial": [{"frames_per_s": 30.0}],
    }

    line = summary("fanout", BENCHES["fanout"], Size(sockets=10), rounds)

    assert line == {
        "bench": "fanout",
        "key": "frames_per_s",
        "sockets": 10,
        "ours": 600.0,
        "tutorial": 30.0,
        "plain": None,
        "ratio_plain": None,
        "socketio": None,
        "ratio_tutorial": 20.0,
        "ratio_socketio": None,
        "spread_ours": [300.0, 900.0],
        "spread_tutorial": [30.0, 30.0],
        "frames_per_s": 600.0,
        "tutorial_frames_per_s": 30.0,
    }


def test_less_memory_is_better() -> None:
    bench: Bench = BENCHES["memory"]
    rounds = {
        name: [{"kb_per_socket": value}] for name, value in (("ours", 20.0), ("tutorial", 30.0))
    }

    line = summary("memory", bench, bench.size, rounds)

    assert line["ratio_tutorial"] == 1.5


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "BENCH_WITHOUT",
            "ours",
            "what can be left out is by_celery, by_hello, by_send, by_uvicorn, plain, socketio, tutorial",
        ),
        ("BENCH_WITHOUT", "tutorial,centrifugo", "BENCH_WITHOUT=centrifugo"),
        ("BENCH_ROUNDS", "many", "BENCH_ROUNDS=many: a number above 0 is needed"),
        ("BENCH_SECONDS", "0", "BENCH_SECONDS=0: a number above 0 is needed"),
        ("BENCH_SOCKETS", "-5", "BENCH_SOCKETS=-5: a number above 0 is needed"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(NotReady, match=re.escape(said)):
        rounds.run("fanout", print)


@pytest.mark.stack
def test_each_bench_runs_and_ends_with_its_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *BENCHES],
        cwd=ROOT,
        env={
            **{k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "VALKEY_URL")},
            "BENCH_ROUNDS": "1",
            "BENCH_SECONDS": "0.3",
            "BENCH_SOCKETS": "100",
            "BENCH_WITHOUT": "socketio",
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("BENCH ")]
    lines = [json.loads(line.removeprefix("BENCH ")) for line in said]
    assert [line["bench"] for line in lines] == list(BENCHES)
    # Of a hundred sockets' memory nothing can be said, and it may even shrink.
    measured = [line for line in lines if line["bench"] != "memory"]
    assert all(line["ours"] > 0 and line["tutorial"] > 0 for line in measured)
    assert all(line[BENCHES[line["bench"]].key] == line["ours"] for line in lines)


@pytest.mark.stack
def test_the_admins_bench_asks_for_every_page_and_reads_what_each_statement_reads() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "admin"],
        cwd=ROOT,
        env={
            **{k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "VALKEY_URL")},
            "BENCH_ROUNDS": "1",
            "BENCH_ADMIN_ORDERS": "6000",  # a hundred pages of fifty
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1].removeprefix("BENCH "))
    assert line["events"] == 2 * line["receipts"] + 4  # the first order's and the journey's own
    assert line["reads_many"] == {}
    assert {"list", "order", "search event id", "filter charged_back", "board"} <= set(
        line["pages"]
    )
