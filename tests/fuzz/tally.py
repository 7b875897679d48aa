"""What the machines have sent, and what they found."""

import json
import sys
from dataclasses import dataclass, field


@dataclass
class Tally:
    """`server_errors`: answers of 500 and above. `crashes`: a process that died, hung, grew without end, or wrote a
    traceback. `undocumented`: an answer or a close that the description or the protocol does not know."""

    requests: int = 0
    frames: int = 0
    callbacks: int = 0
    server_errors: int = 0
    crashes: int = 0
    undocumented: int = 0
    health_live_p99_ms: float = 0.0  # of `/health/live`, all the time
    findings: dict[str, int] = field(default_factory=dict)

    def blame(self, kind: str, what: str) -> None:
        """Count a finding; say each once."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.findings[what] = self.findings.get(what, 0) + 1
        if self.findings[what] == 1:
            print(f"  {kind}: {what}", file=sys.stderr, flush=True)

    @property
    def is_clean(self) -> bool:
        return not (self.server_errors or self.crashes or self.undocumented)

    def line(self) -> str:
        shown = {name: value for name, value in vars(self).items() if name != "findings"}
        return f"FUZZ {json.dumps(shown, separators=(',', ':'))}"
