"""Insides of libraries are touched in the rooms that docs/internals.md lists, and nowhere else."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "internals.md"
HOUSES = ("backend", "workers", "realtime", "orders")
# Names with an underscore that their libraries document, so that it would not be taken for one of a program's.
DOCUMENTED = {
    "_meta",
    "_default_manager",
    "_base_manager",
    "_replace",
    "_asdict",
    "_fields",
    "_make",
    "_value_",
}
# Modules that their libraries do not describe for use, or whose classes are made to be used whole.
INSIDES = (
    "celery.worker",
    "channels_redis",
    "django.core.handlers",
    "django.db.backends.postgresql",
    "httptools",
    "kombu",
    "redis._parsers",
    "redis.asyncio.connection",
    "uvicorn",
    "websockets",
)
# What is described for use, of those.
PUBLIC = (
    "httptools.HttpParserError",
    "kombu.Connection",
    "kombu.Exchange",
    "kombu.Queue",
    "kombu.exceptions",
    "uvicorn.Config",
    "uvicorn.Server",
    "uvicorn.run",
    "websockets.asyncio",
    "websockets.exceptions",
    "websockets.frames.CloseCode",
)


def sources() -> Iterator[Path]:
    for house in HOUSES:
        for path in sorted((ROOT / house).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


@cache
def ours() -> frozenset[str]:
    """Private names that our own code defines."""
    found = set[str]()
    for path in sources():
        for node in ast.walk(tree(path)):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(name)
                case ast.ClassDef(name=name):
                    found.add(name)
                case ast.Name(id=name, ctx=ast.Store()):
                    found.add(name)
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    found.add(name)
                case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                    words = (e.value for e in ast.walk(value) if isinstance(e, ast.Constant))
                    found |= {str(word) for word in words}
    return frozenset(found)


def touches(path: Path) -> Iterator[tuple[int, str]]:
    """Each place where the module touches an inside: the line, and what."""
    for node in ast.walk(tree(path)):
        for what in _touched(node):
            yield getattr(node, "lineno", 0), what


def _touched(node: ast.AST) -> list[str]:
    match node:
        case ast.Attribute(attr=name):
            return [name] if is_foreign(name) else []
        case ast.Call(
            func=ast.Name(id="getattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]
        ):
            return [name] if is_foreign(name) else []
        case ast.ImportFrom(module=str(module), names=names, level=0):
            is_of_others = not module.startswith(HOUSES)
            return [
                f"{module}.{each.name}"
                for each in names
                if is_inside(f"{module}.{each.name}") or (is_of_others and is_foreign(each.name))
            ]
        case ast.Import(names=names):
            return [e.name for e in names if is_inside(e.name) and e.name not in INSIDES]
    return []


def is_foreign(name: str) -> bool:
    is_private = name.startswith("_") and not name.endswith("__") and name != "_"
    return is_private and name not in DOCUMENTED and name not in ours()


def is_inside(name: str) -> bool:
    return _begins(name, INSIDES) and not _begins(name, PUBLIC)


def _begins(name: str, beginnings: tuple[str, ...]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in beginnings)


def rooms() -> set[Path]:
    """The modules in the second column of the page's table."""
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return {Path(path) for row in rows for path in re.findall(r"`([\w/]+\.py)`", row[2])}


def test_insides_are_touched_in_their_rooms_alone() -> None:
    elsewhere = [
        f"{path}:{line}: {what}"
        for path in sources()
        if path not in rooms()
        for line, what in touches(path)
    ]

    assert elsewhere == []


@pytest.mark.parametrize("room", sorted(rooms()), ids=str)
def test_each_room_touches_an_inside(room: Path) -> None:
    assert list(touches(room)) or "SLF001" in (ROOT / room).read_text()


def test_private_access_is_excused_in_rooms_alone() -> None:
    """For what a library documents, the line says so."""
    excused = [
        f"{path}:{number}"
        for path in sources()
        if path not in rooms()
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if "SLF001" in line and not any(name in line for name in DOCUMENTED)
    ]

    assert excused == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("connection._writer_of_theirs", ["_writer_of_theirs"]),
        ("self._nobody_defines_this()", ["_nobody_defines_this"]),
        ("getattr(protocol, '_of_somebody', None)", ["_of_somebody"]),
        ("from uvicorn.server import Server", ["uvicorn.server.Server"]),
        ("import websockets.protocol", ["websockets.protocol"]),
        ("from redis import _compat", ["redis._compat"]),
        ("from kombu import Queue\nimport uvicorn\nuvicorn.run(app)", []),
        ("model._meta.db_table, self.__class__, _, self._touched_in_tests", ["_touched_in_tests"]),
    ],
)
def test_what_counts_as_a_touch(
    monkeypatch: pytest.MonkeyPatch, code: str, found: list[str]
) -> None:
    known = ours()
    monkeypatch.setitem(globals(), "tree", lambda _: ast.parse(code))
    monkeypatch.setitem(globals(), "ours", lambda: known)

    assert [what for _, what in touches(Path("any.py"))] == found
