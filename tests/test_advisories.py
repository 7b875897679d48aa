"""What `make audit` makes of what it is told."""

from datetime import date
from typing import Any

from tests.advisories import Allowed, allowed, judge

TODAY = date(2026, 11, 25)


def package(*vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    return {"name": "thing", "version": "1.0", "vulns": list(vulnerabilities)}


FOUND = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"]}


def test_a_vulnerability_that_nobody_gave_a_reason_for_is_a_problem() -> None:
    verdict = judge([package(FOUND)], [], TODAY)

    assert verdict.problems == (
        "thing 1.0: PYSEC-1, mended in 1.1: raise it, or allow it with a reason",
    )


def test_one_that_is_allowed_is_none_until_its_day_is_over() -> None:
    reason = Allowed("CVE-2026-1", "not reached by our code", date(2026, 12, 1))

    assert judge([package(FOUND)], [reason], TODAY).problems == ()
    late = judge([package(FOUND)], [reason], date(2026, 12, 2))
    assert late.problems == ("thing 1.0: PYSEC-1 was allowed until 2026-12-01: look again",)


def test_what_the_service_does_not_know_is_not_taken_for_well() -> None:
    unknown = {"name": "other", "skip_reason": "not found"}

    assert judge([unknown, package()], [], TODAY).asked == 1


def test_every_advisory_that_is_allowed_has_a_reason_and_a_day() -> None:
    assert all(each.reason and isinstance(each.until, date) for each in allowed())
