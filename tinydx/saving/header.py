"""A file's header: text -> checked facts. Every check raises ValueError or TypeError in words that name the part."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

DEEPEST = 200  # levels of lists and dicts inside each other
LONGEST_NAME = 100_000  # characters
AXES, LARGEST_AXIS = 32, 2**40  # of a shape
FLOATS = ("float16", "float32", "float64")


def parse(text: str | bytes, what: str = "its header") -> dict[str, Any]:
    """The header as a dict; ValueError where it is no JSON object, is nested too deeply, or names a key twice."""
    try:
        header = json.loads(text, object_pairs_hook=_once_each)
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} is no JSON that can be read: {error}") from None
    _expect_depth(header, what)
    return expect_dict(header, what)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{short(next(n for n in names if names.count(n) > 1))} occurs twice")
    return found


def _expect_depth(value: Any, what: str) -> None:
    level, depth = [value], 0
    while level:
        inner = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level, depth = [v for part in inner for v in part], depth + 1
        if depth > DEEPEST:
            raise ValueError(f"{what} is nested too deeply")


def short(value: Any) -> str:
    """A value for a message, cut."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def part(of: dict[str, Any], name: str, where: str) -> Any:
    """An entry that must be there."""
    if name not in of:
        raise ValueError(f"{where} has no {name!r}")
    return of[name]


def expect_dict(value: Any, where: str) -> dict[str, Any]:
    """The value, which must be a dict."""
    if not isinstance(value, dict):
        raise TypeError(f"{where} is {short(value)}, expected names with values")
    return value


def expect_list(value: Any, where: str) -> list[Any]:
    """The value, which must be a list."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{where} is {short(value)}, expected a list")
    return list(value)


def expect_text(value: Any, where: str, longest: int = LONGEST_NAME) -> str:
    """The value, which must be a text that is not too long, and can be written as UTF-8."""
    if not isinstance(value, str) or len(value) > longest:
        raise TypeError(f"{where} is {short(value)}, expected a text of at most {longest} characters")
    if re.search("[\ud800-\udfff]", value):
        raise ValueError(f"{where} is {short(value)}, which is no Unicode text")
    return value


def expect_number(value: Any, where: str) -> float:
    """The value, which must be a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{where} is {short(value)}, expected a number")
    return value


def expect_count(value: Any, where: str, below: int | None = None) -> int:
    """The value, which must be a whole number of 0 or more, and less than `below`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < (2**63 if below is None else below):
        wanted = "expected a whole number of 0 or more" if below is None else f"expected a whole number below {below}"
        raise TypeError(f"{where} is {short(value)}, {wanted}")
    return value


def expect_bool(value: Any, where: str) -> bool:
    """The value, which must be True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{where} is {short(value)}, expected true or false")
    return value


def expect_dtype(value: Any, where: str, among: Iterable[str] = FLOATS) -> str:
    """The value, which must be the name of a dtype of floating-point numbers."""
    if not isinstance(value, str) or value not in among:
        raise TypeError(f"{where} is {short(value)}, expected {' or '.join(among)}")
    return value


def shape_from(value: Any, where: str) -> Any:
    """A shape from its JSON, in which tuples became lists: a tuple, or a list of them."""
    sizes = expect_list(value, where)
    if sizes and isinstance(sizes[0], list | tuple):
        return [shape_from(s, where) for s in sizes]
    whole = all(n is None or (isinstance(n, int) and not isinstance(n, bool) and 0 < n <= LARGEST_AXIS) for n in sizes)
    if not 1 <= len(sizes) <= AXES or not whole:
        raise TypeError(f"{where} is {short(value)}, expected the sizes of 1 to {AXES} axes")
    return tuple(sizes)


def check_facts(header: dict[str, Any]) -> None:
    """What a header says of the training data: class_names, preprocessing, input_range."""
    names = part(header, "class_names", "its header")
    if names is not None:
        for name in expect_list(names, "class_names"):
            expect_text(name, "a class name")
    how = part(header, "preprocessing", "its header")
    if how is not None:
        expect_dict(how, "preprocessing")
    limits = part(header, "input_range", "its header")
    if limits is not None:
        if len(expect_list(limits, "input_range")) != 2:
            raise TypeError(f"input_range is {short(limits)}, expected two numbers")
        low, high = (expect_number(v, "input_range") for v in limits)
        if low > high:
            raise ValueError(f"input_range is {short(limits)}, expected the smaller number first")
