"""Every regular expression of the project, and whether one takes more than linear time on a text made against it.

Found by importing each module (patterns that are compiled) and by reading its source (those that a function names).
Work is the thread's own CPU time, so a loaded machine changes nothing; and what is compared is how it grows, not how
long it takes.
"""

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("backend", "orders", "realtime", "workers")
SIZE = 8_000  # characters of the shorter text
QUICK = 0.004  # seconds of CPU for such a text, under which nothing is quadratic: 64 million steps are not done in it
GROWN = 4  # times that the longer text is longer
BOUND = 9  # times that it may cost: linear is 4, quadratic 16
_FUNCTIONS = {"compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}  # fmt: skip


def patterns() -> dict[str, "re.Pattern[Any]"]:
    """By where they stand."""
    found: dict[str, re.Pattern[Any]] = {}
    for module in _modules():
        for name, value in vars(module).items():
            for number, each in enumerate(_in(value)):
                found[f"{module.__name__}.{name}" + (f"[{number}]" if number else "")] = each
        for line, each in _written_in(module):
            found.setdefault(f"{module.__name__}:{line}", each)
    return found


def _modules() -> Iterator[ModuleType]:
    for package in map(importlib.import_module, PACKAGES):
        yield package
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__") and ".migrations" not in info.name:
                yield importlib.import_module(info.name)


def _in(value: object) -> Iterator["re.Pattern[Any]"]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from _in(tuple(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _in(each)


def _written_in(module: ModuleType) -> Iterator[tuple[int, "re.Pattern[Any]"]]:
    """Those that stand as text in a function. One that is put together has to be compiled at the module's level."""
    source = Path(module.__file__ or "").read_text() if module.__file__ else ""
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef))
    for node in (each for function in functions for each in ast.walk(function)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if ast.unparse(node.func.value) == "re" and node.func.attr in _FUNCTIONS:
            given = node.args[0]
            if not isinstance(given, ast.Constant) or not isinstance(given.value, str):
                raise AssertionError(f"{module.__name__}:{node.lineno}: compile it at the top")
            yield node.lineno, re.compile(given.value)


def slow_text(pattern: "re.Pattern[Any]") -> str | None:
    """What the text is made of that this pattern takes more than linear time for, if there is one."""
    return slow_part(lambda text: _search(pattern, text), _attacks(str(pattern.pattern)))


def slow_part(work: Callable[[str], object], attacks: Iterable[tuple[str, str]]) -> str | None:
    for begin, part in attacks:
        if _cost(work, begin, part, 1) > QUICK and _grows(work, begin, part):
            return f"{begin!r} + {part!r} × n"
    return None


def _search(pattern: "re.Pattern[Any]", text: str) -> None:
    subject: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
    for _ in pattern.finditer(subject):
        pass
    pattern.fullmatch(subject)


def _grows(work: Callable[[str], object], begin: str, part: str) -> bool:
    ratios = []
    for _ in range(3):  # the least: whatever disturbs a measurement makes it longer
        once, more = (min(_cost(work, begin, part, n) for _ in range(2)) for n in (1, GROWN))
        ratios.append(more / once)
    return min(ratios) > BOUND


def _cost(work: Callable[[str], object], begin: str, part: str, times: int) -> float:
    text = begin + part * (times * SIZE // len(part)) + "\x00"
    began = time.thread_time()
    work(text)
    return time.thread_time() - began


def _attacks(source: str) -> list[tuple[str, str]]:
    """A beginning and what follows it again and again, of the words and signs that the pattern itself is made of."""
    spelled = re.sub(r"\\[A-Za-z]", " ", source)  # without classes as \\w is one
    words = sorted(set(re.findall(r"[A-Za-z]+", spelled)), key=spelled.index)[:8]
    signs = sorted({c for c in source if not c.isalnum()} | set('a0\\" \n-.'))
    parts = [*words, *signs, *re.findall(r"[^\w\s\\()?*+]{2,}", source)]
    parts += [a + b for a in (*words, *signs) for b in signs]
    quoted = [f'"{word}"' for word in words] if '"' in source else []
    begun = [(begin, sign) for begin in (*words, *quoted) for sign in signs]
    return [("", part) for part in parts] + begun
