"""`make audit`: no locked package has a known vulnerability, but for those that `pyproject.toml` gives a reason for.

`[[tool.ordercast.advisories]]`: `id`, `reason`, and `until`, the date after which somebody has to look again.
Advisories come from the package index's own service. Where it cannot be asked, or knows none of the packages (a
mirror), that is said, and nothing is proved.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@dataclass(frozen=True)
class Allowed:
    id: str
    reason: str
    until: date


@dataclass(frozen=True)
class Verdict:
    """`problems` are lines for a person; `asked` is how many packages the service knew."""

    problems: tuple[str, ...]
    asked: int


def judge(
    dependencies: Iterable[Mapping[str, Any]], allowed: Sequence[Allowed], today: date
) -> Verdict:
    """`dependencies` are as `pip-audit --format json` tells them."""
    known = [each for each in dependencies if "skip_reason" not in each]
    excused = {each.id: each for each in allowed}
    problems = []
    for package in known:
        for found in package["vulns"]:
            ids = {found["id"], *found.get("aliases", ())}
            excuse = next((excused[name] for name in sorted(ids) if name in excused), None)
            what = f"{package['name']} {package['version']}: {found['id']}"
            fixed = ", ".join(found.get("fix_versions", ())) or "none"
            if excuse is None:
                problems.append(f"{what}, mended in {fixed}: raise it, or allow it with a reason")
            elif excuse.until < today:
                problems.append(f"{what} was allowed until {excuse.until}: look again")
    return Verdict(tuple(problems), len(known))


def allowed() -> list[Allowed]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [Allowed(**each) for each in project["tool"]["ordercast"].get("advisories", ())]


def _ask(lock: str) -> list[dict[str, Any]] | str:
    """What is told of each package; or why nothing is."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return (done.stderr.strip().splitlines() or ["no answer"])[-1]
    return found


def main() -> int:
    today, code = datetime.now(UTC).date(), 0
    for lock in LOCKS:
        answer = _ask(lock)
        if isinstance(answer, str):
            print(f"{lock}: advisories could not be asked for: {answer}")
            continue
        verdict = judge(answer, allowed(), today)
        for problem in verdict.problems:
            print(f"{lock}: {problem}")
        code |= bool(verdict.problems)
        print(f"{lock}: {verdict.asked} of {len(answer)} packages known to the advisory service")
    return code


if __name__ == "__main__":
    sys.exit(main())
