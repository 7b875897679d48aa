"""Proof by machine: whatever happens in whatever order, each order ends at the provider's truth or with a person.

`make prove` runs 2,000 examples, this file alone a few dozen. A failure prints the steps that lead to it, and the seed
that leads there again: `make prove SEED=…`.
"""

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.prove.machine import ENDS, Orders

EXAMPLES = int(os.environ.get("PROVE_EXAMPLES", "60"))
SHARDS = int(os.environ.get("PROVE_SHARDS", "1"))
SEED = int(os.environ.get("PROVE_SEED") or random.randrange(10**9))
# Hypothesis tries about nine variations for each example that it counts. Each is played to its end and judged, so each
# counts here: it is asked for a tenth, in batches.
BATCH = 10
STEPS = 30
MACHINE_SETTINGS = settings(
    max_examples=BATCH,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_each_order_ends_at_the_providers_truth_or_with_a_person(
    shard: int, record_property: Callable[[str, object], None]
) -> None:
    ENDS.clear()
    number = SEED + shard * 1_000_000
    try:
        while ENDS["examples"] < EXAMPLES / SHARDS:
            run_state_machine_as_test(seed(number)(Orders), settings=MACHINE_SETTINGS)
            number += 1
    except BaseException as failure:
        failure.add_note(f"seed {number}: PROVE_SEED={number} plays it again")
        raise
    finally:
        record_property("ends", dict(ENDS))
        record_property("seed", number)
