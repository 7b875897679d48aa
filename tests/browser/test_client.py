"""The browser client as a package: its own tests under Node, its types, its size, and what npm would publish."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from tests.browser.packages import HERE, Missing, package_file
from tests.optional import program, skip_or_fail

CLIENT = HERE.parent.parent / "realtime" / "static" / "realtime"
NODE = 20  # Debian 13 has it; Debian 12's 18 judges the types and pages, but cannot run the client's own tests
MOST = 6 * 1024  # bytes of `ordercast.js`, compressed


def run(*command: str, cwd: Path = HERE) -> str:
    """What it writes, if it succeeds; skipped where Node is missing, and failed in CI."""
    program(command[0], "nodejs npm")
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass_under_node() -> None:
    if int(run("node", "--version").lstrip("v").partition(".")[0]) < NODE:
        pytest.skip(f"they need Node {NODE}, whose test runner can hold the clock")
    told = run("node", "--test", "--test-reporter=tap", "ordercast.test.mjs")

    assert "# fail 0" in told
    assert "# pass 0" not in told


def test_its_types_are_what_a_shops_program_expects() -> None:
    try:
        compiler = package_file("typescript/bin/tsc")
    except Missing as missing:
        skip_or_fail(missing)
        raise

    run("node", str(compiler), "--noEmit", "--project", "types")


def test_all_that_a_page_needs_of_it_fits_into_six_kilobytes() -> None:
    source = (CLIENT / "ordercast.js").read_bytes()

    assert b"\nimport " not in source
    assert len(gzip.compress(source, 9)) <= MOST


@pytest.mark.parametrize("name", ["ordercast.js", "order-status.js"])
def test_what_it_imports_is_in_the_package(name: str) -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    imported = {
        line.rsplit('"', 2)[1].removeprefix("./")
        for line in (CLIENT / name).read_text().splitlines()
        if line.startswith("import ")
    }

    assert imported | {name} <= set(package["files"])


def test_npm_would_publish_the_client_its_types_and_nothing_else() -> None:
    told = run("npm", "pack", "--dry-run", "--json", cwd=CLIENT)

    package = json.loads((CLIENT / "package.json").read_text())
    packed = json.loads(told)[0]
    assert {each["path"] for each in packed["files"]} == {*package["files"], "package.json"}
    exported = {path for entry in package["exports"].values() for path in entry.values()}
    assert {path.removeprefix("./") for path in exported} <= set(package["files"])
