"""What goes wrong, and when: made from the seed alone, so that a run can be played again.

What the processes make of it differs from run to run; which of them dies, when, for how long and how does not.
"""

import random
from dataclasses import dataclass

PARTS = ("worker", "beat", "valkey", "web_1", "web_2", "postgres")
EVERY = 2.5  # seconds between two kills, more or less
LONGEST_DOWN = 3.0  # seconds that a part stays dead before it is started again
# Besides the kills, once in each run, and how long at most (seconds); in a short run a part of that.
TROUBLES = {
    "guest_flood": 20.0,  # one guest's sockets ask for orders that nobody has
    "postgres_outage": 70.0,
    "proxy_404": 25.0,  # as a proxy does while what is behind it is deployed
    "valkey_readonly": 20.0,  # as after a failover that made it a replica
    "worker_skewed": 30.0,  # its clock is a minute ahead, or behind
}


@dataclass(frozen=True)
class Kill:
    """`manner`: kill (-9), or for PostgreSQL also immediate (`pg_ctl restart -m immediate`)."""

    at: float  # seconds after the start
    part: str
    down: float
    manner: str = "kill"


@dataclass(frozen=True)
class Trouble:
    at: float  # seconds after the start
    name: str
    lasts: float


@dataclass(frozen=True)
class Visit:
    """One stay of a page: `stay` seconds, how it ends, and `away` seconds until it comes back.

    `close`: as a browser does; `cut`: the line is reset; `black_hole`: the line swallows everything, and is cut at the
    end; `stall`: the line holds everything back, and then goes on.
    """

    stay: float
    ending: str
    away: float
    moves: bool  # to other orders


def kills(seed: int, seconds: float) -> list[Kill]:
    """Every part at least once, spread over the first nine tenths of the run."""
    rng = random.Random(f"kills:{seed}")
    count = max(len(PARTS), int(seconds / EVERY))
    rounds: list[str] = []
    while len(rounds) < count:
        rounds += rng.sample(PARTS, len(PARTS))
    width = seconds * 0.85 / count
    down = min(LONGEST_DOWN, seconds / 15)
    return [
        Kill(
            at=round(seconds * 0.05 + width * (number + rng.random()), 3),
            part=part,
            down=round(rng.uniform(0.1, down), 3),
            manner=rng.choice(("kill", "immediate")) if part == "postgres" else "kill",
        )
        for number, part in enumerate(rounds[:count])
    ]


def troubles(seed: int, seconds: float) -> list[Trouble]:
    """Each once, spread over the first half of the run, so that all are over by its end."""
    rng = random.Random(f"troubles:{seed}")
    names = rng.sample(sorted(TROUBLES), len(TROUBLES))
    width = seconds * 0.5 / len(names)
    return [
        Trouble(
            at=round(seconds * 0.05 + width * (number + rng.random()), 3),
            name=name,
            lasts=round(min(TROUBLES[name], seconds * 0.4), 3),
        )
        for number, name in enumerate(names)
    ]


class Life:
    """What one page does, visit after visit."""

    def __init__(self, seed: int, page: int, pace: float = 1.0) -> None:
        self.rng = random.Random(f"page:{page}:{seed}")
        self._pace = pace

    def next(self) -> Visit:
        rng = self.rng
        endings = ("close", "cut", "black_hole", "stall")
        return Visit(
            stay=rng.uniform(2, 14) * self._pace,
            ending=rng.choices(endings, (4, 4, 2, 2))[0],
            away=rng.uniform(0, 4) * self._pace,
            moves=rng.random() < 0.15,
        )
