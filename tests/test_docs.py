"""What the documents say is where they say it is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A path of this project as documents write it: from the root, or from `tests/` (`access/test_matrix.py`).
_PATH = re.compile(
    r"(?<![\w./:-])((?:backend|workers|realtime|orders|tests|docs|locale|clients|examples|access|browser|chaos"
    r"|fuzz|journeys|prove|story|bench)/(?:[\w.-]+/)*(?:[\w-]+\.(?:py|md|js|mjs|html|conf|json|png|gif|yaml)"
    r"|(?<=/)))(?![\w/{<*])"
)
# A module as documents write it: `orders.journal.writer`, or one of its names, `orders.journal.writer.append`.
_MODULE = re.compile(r"`((?:backend|workers|realtime|orders)(?:\.\w+)+)(?:\(.*?\))?`")

# The protocol's name, and Django's permissions, are written alike.
_NOT_MODULES = {"orders.v1", *(f"orders.{verb}_order" for verb in ("view", "change", "refresh"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_document_names_is_there(page: Path) -> None:
    named = set(_PATH.findall(page.read_text()))

    assert sorted(path for path in named if not _is_there(path)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_document_names_is_there(page: Path) -> None:
    named = set(_MODULE.findall(page.read_text()))

    assert sorted(name for name in named if not _is_a_module_or_its_name(name)) == []


def test_paths_and_modules_are_found_in_the_documents() -> None:
    text = "".join(page.read_text() for page in PAGES)

    assert len(set(_PATH.findall(text))) > 50
    assert len(set(_MODULE.findall(text))) > 5


def _is_there(path: str) -> bool:
    return any((ROOT / folder / path).exists() for folder in ("", "tests"))


def _is_a_module_or_its_name(name: str) -> bool:
    if name.startswith("workers.tasks.") or name in _NOT_MODULES:
        return True  # a task's name stands in beat's rows
    *parents, last = name.split(".")
    if _module(name.split(".")):
        return True
    for cut in range(len(parents), 0, -1):
        if module := _module(parents[:cut]):
            first = [*parents, last][cut]
            return re.search(rf"\b{first}\b", module.read_text()) is not None
    return False


def _module(parts: list[str]) -> Path | None:
    path = ROOT.joinpath(*parts)
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((each for each in candidates if each.exists()), None)
