"""`make prove`: thousands of examples of the state machine, on every core. The last line is for machines.

`SEED=` plays a run again, `EXAMPLES=` says how many. Exit code 1 if one failed.
"""

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


class Results:
    """What the shards said."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.failed = 0
        self.seed: object = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        said = dict(report.user_properties)
        if report.failed:
            self.failed += 1
            self.seed = said.get("seed", self.seed)
        if report.when == "call":
            self.ends.update(cast("dict[str, int]", said.get("ends", {})))


def main() -> int:
    shards = min(os.cpu_count() or 1, 4)
    seed = os.environ.get("SEED") or str(random.randrange(10**9))
    os.environ |= {
        "PROVE_EXAMPLES": os.environ.get("EXAMPLES") or "2000",
        "PROVE_SHARDS": str(shards),
        "PROVE_SEED": seed,
    }
    results = Results()
    arguments = ["-p", "tests.plugin", "-q", "-n", str(shards), "--show-capture=no"]
    code = pytest.main(
        [*arguments, f"--rootdir={ROOT}", "tests/prove/test_prove.py"], plugins=[results]
    )
    examples = results.ends.pop("examples", 0)
    for what, count in sorted(results.ends.items()):
        print(f"  {count:6} orders ended as {what}")
    line = {"examples": examples, "failed": results.failed, "seed": results.seed or int(seed)}
    print("PROVE", json.dumps(line))
    return int(code != 0 or not examples)


if __name__ == "__main__":
    sys.exit(main())
