"""Settings are checked where they are given: what an argument may be, in one place, and one line that names it where it is not.

    whole, number, flag, one_of, sizes     one value: returned as Python's own type, or ValueError
    weights                                an array of the weights of examples
    Checked                                the type of classes that are made with settings
    checked                                the same for the arguments of a method

The kind of an argument is its annotation: `int` a whole number, `float` a finite number, `bool` a flag, `str` a text, with
`| None` where it may be left out. What a number may be beyond that (above 0, below 1), the class itself says with `whole`
and `number`.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import os
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import numpy as np

from tinydx.device import on_device
from tinydx.keras_words import ARGUMENTS, asks_for_nothing
from tinydx.suggestions import did_you_mean


def whole(name: str, value: Any, at_least: int = 1, at_most: int | None = None) -> int:
    """The value as an int; ValueError unless it is a whole number in that range. True, 2.0 and "2" are none.

    >>> whole("batch_size", np.int64(8))
    8
    >>> whole("fit: batch_size", 2.5)
    Traceback (most recent call last):
    ValueError: fit: batch_size is 2.5, expected a whole number of at least 1
    """
    try:
        n = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        n = None
    if n is None or n < at_least or (at_most is not None and n > at_most):
        limits = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise ValueError(f"{name} is {_shown(value)}, expected a whole number {limits}")
    return n


def number(
    name: str,
    value: Any,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> float:
    """The value as a float; ValueError unless it is a finite number in that range.

    >>> number("momentum", 1.5, at_least=0, below=1)
    Traceback (most recent call last):
    ValueError: momentum is 1.5, expected 0 or a number above it, below 1
    """
    limits = (above, operator.gt), (at_least, operator.ge), (at_most, operator.le), (below, operator.lt)
    if is_number(value) and math.isfinite(value) and all(n is None or fits(float(value), n) for n, fits in limits):
        return float(value)
    raise ValueError(f"{name} is {_shown(value)}, expected {_range_in_words(above, at_least, at_most, below)}")


def _range_in_words(above: float | None, at_least: float | None, at_most: float | None, below: float | None) -> str:
    """What a number must be, for a message."""
    if above is not None:
        return f"a number above {above:g}" if below is None else f"a number between {above:g} and {below:g}, without these"
    if at_least is None:
        return "a finite number"
    if at_most is not None:
        return f"{at_least:g} to {at_most:g}"
    return f"{at_least:g} or a number above it" + ("" if below is None else f", below {below:g}")


def is_number(value: Any) -> bool:
    """Whether it is one real number, of Python or NumPy; True and False are none."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def flag(name: str, value: Any) -> bool:
    """The value as a bool; ValueError unless it is True or False, or 1 or 0.

    >>> flag("shuffle", 1)
    True
    """
    if isinstance(value, bool | np.bool_ | int | np.integer) and value in (0, 1):
        return bool(value)
    raise ValueError(f"{name} is {_shown(value)}, expected True or False")


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """The value; ValueError unless it is one of those allowed.

    >>> one_of("mode", "min", ("auto", "min", "max"))
    'min'
    """
    known = list(allowed)
    if not any(type(value) is type(k) and value == k for k in known):
        *first, last = map(repr, known)
        raise ValueError(f"{name} is {_shown(value)}, expected {', '.join(first)} or {last}")
    return value


def sizes(name: str, value: Any) -> tuple[int | None, ...]:
    """A shape without the batch axis as a tuple; ValueError unless it holds whole numbers above 0, and None for axes that vary.

    >>> sizes("input_shape", [28, 28, 1])
    (28, 28, 1)
    >>> sizes("input_shape", 4)
    Traceback (most recent call last):
    ValueError: input_shape is 4, expected a tuple of sizes without the batch axis: (4,)
    """
    if is_number(value):
        raise ValueError(f"{name} is {value!r}, expected a tuple of sizes without the batch axis: ({value},)")
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError(f"{name} is {_shown(value)}, expected a tuple of sizes without the batch axis")
    return tuple(None if n is None else whole(f"a size in {name} {tuple(value)}", n) for n in value)


def weights(name: str, value: Any) -> Any:
    """Weights of examples as an array, None for None; ValueError unless they are finite numbers of 0 or more.

    Those on a GPU are not read, which would wait for it.

    >>> weights("sample_weight", [1, float("nan")])
    Traceback (most recent call last):
    ValueError: sample_weight holds nan, expected finite numbers of 0 or more
    """
    if value is None or on_device(value):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} is {_shown(value)}, expected numbers of 0 or more")
    right = np.isfinite(array) & (array >= 0)
    if not right.all():
        raise ValueError(f"{name} holds {array[~right].flat[0]}, expected finite numbers of 0 or more")
    return array


def _shown(value: Any) -> str:
    """The value in a message: on one line, and short."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---- arguments by their annotations --------------------------------------------------------------------------------


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {_shown(value)}, expected a text")
    return value


def _path(name: str, value: Any) -> Any:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise ValueError(f"{name} is {_shown(value)}, expected the path of a file")
    return value


def _any_whole(name: str, value: Any) -> int:
    try:
        return whole(name, value, at_least=-(2**63))
    except ValueError:
        cure = f": math.ceil rounds it, to {math.ceil(value)}" if isinstance(value, float) and math.isfinite(value) else ""
        raise ValueError(f"{name} is {_shown(value)}, expected a whole number{cure}") from None


_KINDS: dict[str, Callable[[str, Any], Any]] = {
    "bool": flag,
    "int": _any_whole,
    "float": number,
    "str": _text,
    "str | Path": _path,
}


def check_kind(name: str, value: Any, annotation: Any) -> None:
    """ValueError with the name where the annotation is one of the kinds above, and the value is not of it."""
    words = str(annotation)
    if value is None and words.endswith("| None"):
        return
    check = _KINDS.get(words.removesuffix(" | None"))
    if check is not None:
        check(name, value)


def check_call(what: str, names: dict[str, Any], given: dict[str, Any]) -> None:
    """TypeError for an argument that `what` does not have, with the cure; ValueError for one of another kind.

    Arguments: what, the name in messages; names, its arguments with their annotations; given, arguments by name.
    """
    for name, value in given.items():
        if name in names:
            check_kind(f"{what}: {name}", value, names[name])
        elif not asks_for_nothing(name, value):
            raise unknown_argument(what, name, names)


def unknown_argument(what: str, name: str, known: Iterable[str]) -> TypeError:
    """The error for an argument that `what` does not have: what Keras's old scripts write is answered with what to write instead.

    >>> unknown_argument("Adam", "lr", ["learning_rate"])
    TypeError("Adam has no argument 'lr': it is called learning_rate")
    """
    known = list(known)
    cures = [cure for cure, applies in ARGUMENTS.get(name, ()) if applies is None or applies in known]
    return TypeError(f"{what} has no argument {name!r}{f': {cures[0]}' if cures else did_you_mean(name, known)}")


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose arguments are checked as those of a `Checked` class: by name, and by the kind that their annotations say."""
    names = {name: p.annotation for name, p in list(inspect.signature(method).parameters.items())[1:]}

    @functools.wraps(method)
    def call(self: Any, *args: Any, **keywords: Any) -> Any:
        check_call(method.__name__, names, {**_by_name(method, args), **keywords})
        return method(self, *args, **{name: value for name, value in keywords.items() if name in names})

    return call


@functools.cache
def _positional(method: Callable[..., Any]) -> list[str]:
    """The names of the arguments that may be given by their place."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]


def _by_name(method: Callable[..., Any], args: tuple) -> dict[str, Any]:
    """Positional arguments by their names; none where there are too many, which Python itself says."""
    names = _positional(method)
    return dict(zip(names, args, strict=False)) if len(args) <= len(names) else {}


@functools.cache
def arguments_of(cls: type) -> dict[str, Any]:
    """The arguments of a class, its own and those of its base classes, with their annotations."""
    names: dict[str, Any] = {}
    for c in cls.__mro__[:-1]:
        if "__init__" in vars(c):
            for name, parameter in list(inspect.signature(c.__init__).parameters.items())[1:]:  # type: ignore[misc]
                if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                    names.setdefault(name, parameter.annotation)
    return names


class Checked(type):
    """The type of classes that are made with settings, so that a wrong one is named at once.

    Unknown arguments are answered by what to write instead, options of Keras that are off are left out, and each value must be of
    the kind that its annotation says. A user's own class checks its arguments itself.
    """

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of `__init__`, for help() and editors, which would show `__call__` below instead."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=list(own.parameters.values())[1:])

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        if cls.__module__.startswith("tinydx."):
            known = arguments_of(cls)
            check_call(cls.__name__, known, {**_by_name(cls.__init__, args), **keywords})  # type: ignore[misc]
            keywords = {name: value for name, value in keywords.items() if name in known}
        return super().__call__(*args, **keywords)
