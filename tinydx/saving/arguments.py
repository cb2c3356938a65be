"""The arguments of a file beside the annotations of the class that gets them: a text is no number, and NaN is no rate.

Only tinydx's own classes are checked: the annotations of a user's may say less than the class takes.

>>> from tinydx.layers import Dense
>>> check_arguments(Dense, {"units": "8"})
Traceback (most recent call last):
TypeError: Dense: units is '8', expected int
"""

from __future__ import annotations

import collections.abc
import functools
import math
import types
import typing
from typing import Any

from tinydx.saving.header import FLOATS, expect_dtype, expect_text, shape_from, short

SEQUENCES = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)


def check_arguments(cls: type, config: dict[str, Any]) -> None:
    """TypeError where an argument is not of the kind that the class's annotations say, or is not finite."""
    if not cls.__module__.startswith("tinydx."):
        return
    hints = _hints(cls)
    for name, value in config.items():
        hint = hints.get(name, Any)
        if not fits(value, hint):
            words = getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint).replace("typing.", "")
            raise TypeError(f"{cls.__name__}: {name} is {short(value)}, expected {words}")
    if config.get("name") is not None:
        expect_text(config["name"], f"{cls.__name__}: name")
    if config.get("dtype") is not None:
        expect_dtype(config["dtype"], f"{cls.__name__}: dtype", FLOATS)
    if config.get("input_shape"):
        shape_from(config["input_shape"], f"{cls.__name__}: input_shape")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """The annotations of all arguments: the class's own and those of its base classes."""
    found: dict[str, Any] = {}
    for c in reversed(cls.__mro__[:-1]):
        if "__init__" in vars(c):
            found |= typing.get_type_hints(c.__init__)  # type: ignore[misc]
    return found


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the annotated kind; no kind takes NaN.

    >>> fits(3, float), fits(True, int), fits((2, 2), int | tuple[int, int]), fits(float("nan"), Any)
    (True, False, True, False)
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, float) and math.isnan(value):
        return False
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return value is None or (value in (0, 1) and isinstance(value, int))
    if hint in (int, float):  # constructors that need whole numbers say so themselves; a schedule takes 1000.5 steps
        return isinstance(value, int | float) and not isinstance(value, bool)
    if (origin or hint) in SEQUENCES:
        return isinstance(value, list | tuple) and _each_fits(value, origin, inner)
    if origin is not None or not isinstance(hint, type):
        return callable(value) if origin is collections.abc.Callable else True
    return isinstance(value, hint)


def _each_fits(values: Any, origin: Any, inner: tuple[Any, ...]) -> bool:
    """Whether the values of a list or tuple are of the kinds inside its annotation."""
    if origin is tuple and inner[-1:] != (Ellipsis,):
        return len(values) == len(inner) and all(map(fits, values, inner))
    return all(fits(v, inner[0]) for v in values) if inner else True
