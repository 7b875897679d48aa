"""What the machines are set upon: a running Ordercast, known by its addresses and the demo's secrets."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import psutil

from tests.fuzz.tally import Tally

TOKEN = "demo-service-token"
WEBHOOK_SECRET = "whsec_ZGVtby1vbmx5LXdlYmhvb2stc2VjcmV0LW5ldmVyLWZvci1yZWFs"
MAX_GROWTH = (
    200 * 2**20
)  # bytes that the web process may be larger afterwards: caches fill, nothing leaks
_PREFIX = re.compile(r"^(\d\d:\d\d:\d\d \w+ *\| )")  # what `manage.py up` puts before each line


@dataclass
class Target:
    """`log` gives what the web process has written so far, `pid` is its process."""

    url: str
    log: Callable[[], str]
    pid: int
    valkey_url: str
    refs: list[str] = field(default_factory=list)
    payment: str = ""  # of refs[0]
    grant: str = ""  # for refs[0] alone
    began_with: int = 0
    _read: int = 0

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=30,
            trust_env=False,
        )
        for _ in range(5):
            made = self.client.post("/api/orders", json={"amount": 1250, "currency": "EUR"})
            order = made.raise_for_status().json()
            self.refs.append(order["ref"])
            self.grant = self.grant or order["grant"]
        begun = self.client.post(f"/api/orders/{self.refs[0]}/payments", json={})
        self.payment = begun.raise_for_status().json()["payment"]["ref"]
        self.began_with = self.size()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def version(self) -> int:
        """Of the order that the callbacks are about."""
        answer = self.client.get(f"/api/orders/{self.refs[0]}").raise_for_status()
        return int(answer.json()["version"])

    def check(self, tally: Tally, when: str) -> None:
        """Blame what is not well: the process, its size, its log."""
        try:
            self.client.get("/health/ready", timeout=10).raise_for_status()
        except httpx.HTTPError as error:
            tally.blame("crashes", f"after {when}: does not answer: {error!r}")
            return
        grown = self.size() - self.began_with
        if grown > MAX_GROWTH:
            tally.blame("crashes", f"after {when}: grown by {grown / 2**20:.0f} MB")
        for end in self._traces():
            tally.blame("crashes", f"after {when}: {end}")

    def _traces(self) -> list[str]:
        """What ended each traceback that was written since the last look."""
        lines = self.log()[self._read :].splitlines(keepends=True)
        self._read += sum(len(line) for line in lines)
        ends, is_inside, indent = [], False, ""
        for line in (_PREFIX.sub("", line) for line in lines):
            before, is_head, _ = line.partition("Traceback (most recent call last)")
            own = line.removeprefix(indent)
            if is_head and not before.strip():
                is_inside, indent = True, before  # the log indents them
            elif is_inside and own.strip() and not own.startswith((" ", "+", "|")):
                ends.append(own.strip()[:300])
                is_inside = False
        return ends

    def close(self) -> None:
        self.client.close()

    def size(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)
