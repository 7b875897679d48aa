"""JSON as strangers may send it."""

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

MAX_DEPTH = 32
MAX_DIGITS = 30  # of one number: the largest amount has 16
# Also one that does not end: from each of its escaped quotes on, it would be read to the end again.
_TEXTS = re.compile(r'"(?:[^"\\]++|\\.)*+"?+', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


def loads(body: bytes) -> Any:
    """The value. Raises `ValueError` for what is no JSON, NaN, a key twice, deep nesting, and endless numbers."""
    text = body.decode("utf-8-sig")  # some programs put a byte order mark first
    _check_depth(text)
    return json.loads(
        text,
        parse_constant=_no_constant,
        parse_int=_integer,
        parse_float=_fraction,
        object_pairs_hook=_object,
    )


def _check_depth(text: str) -> None:
    """Before the parser, which calls itself for each level."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_TEXTS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ValueError(f"the JSON is nested more than {MAX_DEPTH} levels deep")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    if len(digits) > MAX_DIGITS or value in {float("inf"), float("-inf")}:
        raise ValueError("a number is too large or too long")
    return value


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object has a duplicate key")
    return made
