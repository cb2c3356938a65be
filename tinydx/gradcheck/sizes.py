"""The same check at other sizes: a factor of 1/2 may be 1/N of a batch of two, or a 2 that was forgotten.

Each size that occurs in the arrays is made larger by one in turn, wherever it occurs: in the inputs, in constants, and in arrays
that forward and backward find outside, such as labels.
"""

from __future__ import annotations

import ast
import functools
import types
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.rules import as_list
from tinydx.gradcheck.source import definition
from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.truth import Truth, generator

MOST = 6  # sizes that are varied

Change = Callable[[Any, np.ndarray], np.ndarray]  # (an input's number or a name outside, its array) -> another


class Resized(NamedTuple):
    """A check of other arrays: how functions change for it, the subject, its cotangents, what the backward returns, the truth."""

    change: Callable[[Any], Any]
    subject: Subject
    dys: list[np.ndarray]
    claimed: list[Any]
    truth: Truth

    def ratio(self, k: int) -> float:
        """The factor between the gradient of argument k and the true one at these sizes; NaN if there is none."""
        got = np.asarray(self.claimed[k], float)
        if got.shape != self.subject.arrays[k].shape:
            return float("nan")
        found = []
        for v, true in self._along(k):
            found.append(float(np.sum(got * v) / true) if true else float("nan"))
        return found[0] if len(found) == 2 and np.isclose(found[0], found[1], rtol=1e-6) else float("nan")

    def agrees(self, k: int, gradient: Any, dys: Sequence[np.ndarray] | None = None) -> bool:
        """Whether this is the true gradient of argument k here, for these cotangents or for the check's own."""
        got = np.asarray(gradient)
        if got.shape != self.subject.arrays[k].shape or got.dtype.kind not in "biuf":
            return False
        close = [np.isclose(np.sum(got * v), true, rtol=1e-5, atol=1e-9) for v, true in self._along(k, dys)]
        return len(close) == 2 and all(close)

    def tells(self, k: int, got: Any) -> bool:
        """Whether the backward can be judged here: one that holds a size as a number may give another shape than at its own.

        Arguments: k, the argument; got, its gradient at its own sizes, with the shape of the array there if its shape is right.
        """
        return np.shape(self.claimed[k]) == self.subject.arrays[k].shape or np.ndim(got) != self.subject.arrays[k].ndim

    def _along(self, k: int, dys: Sequence[np.ndarray] | None = None) -> list[tuple[np.ndarray, float]]:
        """Two directions of argument k with the true derivatives along them; fewer where forward refuses these sizes."""
        truth, found = self.truth.weighted(self.dys if dys is None else dys), []
        for i in range(2):  # the same along both, or there is no such factor
            v = generator(20 + 2 * k + i).normal(size=self.subject.arrays[k].shape)
            try:
                found.append((v, truth.along(k, v)[0]))
            except Exception:
                break
        return found


def resized(subject: Subject, is_complex: Sequence[bool]) -> list[Resized]:
    """The check at another point, and with each size made larger in turn, wherever it occurs; what is refused is left out."""
    sizes = sorted({n for _, _, n in _axes(subject)} - _held(subject.backward))[:MOST]
    ways: list[Change] = [lambda where, a: a]
    ways += [_growing(functools.partial(_is_size, size, False)) for size in sizes]
    return _taken(subject, is_complex, ways)


def _held(backward: Any) -> set[int]:
    """Sizes that a backward holds as numbers, as in range(3): at others it is wrong, whatever else is right."""
    calls = [n for n in ast.walk(definition(backward) or ast.Pass()) if isinstance(n, ast.Call)]
    ranges = [n.args for n in calls if isinstance(n.func, ast.Name) and n.func.id == "range"]
    return {a.value for args in ranges for a in args if isinstance(a, ast.Constant) and isinstance(a.value, int)}


def doubtful(subject: Subject, is_complex: Sequence[bool]) -> list[Resized]:
    """Checks that tell more, but that a right gradient need not pass: they only say which of two explanations is the better one.

    A size that occurs several times, such as 4 examples of 4 features, grows in one axis of one array alone. Labels lie
    between 0 and 1 where they are 0 and 1: t / p and p / p differ only then. Numbers that are found outside are others, each in
    its own way: with k = 3, a factor 3 may be the k that was forgotten. And inputs have other signs: where all slopes happen to
    be negative, y > 0 is x > 0.
    """
    places = _axes(subject)
    counts = Counter(n for _, _, n in places)
    ways: list[Change] = []
    for place, at, size in places:
        if counts[size] > 1 and isinstance(place, int):
            ways.append(functools.partial(_grown_at, place, at))
    for size in sorted({n for where, _, n in places if isinstance(where, str) and counts[n] > 1}):
        ways.append(_growing(functools.partial(_is_size, size, True)))
    given = [*subject.constants.values(), *(v for f in subject.functions for v in outside(f).values())]
    if any(isinstance(a, np.ndarray) and _softened(a) is not a for a in given):
        ways.insert(0, lambda where, a: _softened(a))
    if any(isinstance(a, float) for a in given):
        ways.insert(0, _rescaled)
    ways.insert(0, _turned)
    return _taken(subject, is_complex, ways[: 2 * MOST])


def _axes(subject: Subject) -> list[tuple[Any, int, int]]:
    """Every axis longer than 1: of which array (the number of an input, the name of another), the axis, its size."""
    arrays: dict[Any, Any] = dict(enumerate(subject.arrays))
    for function in subject.functions:
        arrays |= outside(function)
    arrays |= subject.constants
    found = [(where, a) for where, a in arrays.items() if isinstance(a, np.ndarray)]
    return [(where, axis, n) for where, a in found for axis, n in enumerate(a.shape) if n > 1]


def _taken(subject: Subject, is_complex: Sequence[bool], ways: Sequence[Change]) -> list[Resized]:
    made = (_other(subject, is_complex, i, way) for i, way in enumerate(ways))
    return [other for other in made if other is not None]


def _other(subject: Subject, is_complex: Sequence[bool], i: int, new: Change) -> Resized | None:
    """The check with all arrays made anew, those outside, too; None where forward or backward refuses them."""
    if subject.again is None:
        return None
    rng = generator(30 + i)
    arrays = [_moved(new(k, x), rng) for k, x in enumerate(subject.arrays)]
    constants = {n: _renewed(new, n, c) for n, c in subject.constants.items()}

    def change(function: Any) -> Any:
        return _with_outside(function, new)

    try:
        other = replace(subject.again(arrays, constants, change), ops=subject.ops)
        outputs, pull = other.run([a.copy() for a in arrays])
        if not all(np.isfinite(y).all() for y in outputs):
            return None
        dys = [np.asarray(rng.normal(size=np.shape(y))) for y in outputs]
        truth = Truth(other.value, arrays, dys, trusted=True)
        truth.complex = list(is_complex)
        return Resized(change, other, dys, as_list(pull([dy.copy() for dy in dys])), truth)
    except Exception:  # these sizes belong together in some other way
        return None


def outside(function: Any) -> dict[str, Any]:
    """The arrays and numbers that a function finds outside, by name: globals and enclosing variables."""
    if not isinstance(function, types.FunctionType):
        return {}
    names = set(function.__code__.co_names)
    found = {n: v for n, v in function.__globals__.items() if n in names}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        found[name] = cell.cell_contents
    return {n: v for n, v in found.items() if isinstance(v, np.ndarray | float | int) and not isinstance(v, bool)}


def _with_outside(function: Any, new: Change) -> Any:
    """The function with every array that it finds outside made anew."""
    if not isinstance(function, types.FunctionType):
        return function
    other = {n: _renewed(new, n, v) for n, v in outside(function).items() if isinstance(v, np.ndarray | float)}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    closure = tuple(types.CellType(other[n]) if n in other else cell for n, cell in cells)
    space = {**function.__globals__, **other}
    made = types.FunctionType(function.__code__, space, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _renewed(new: Change, name: str, value: Any) -> Any:
    """An array or a number made anew; anything else as it is."""
    if isinstance(value, np.ndarray):
        return np.array(new(name, value))
    return float(new(name, np.array(value))) if isinstance(value, float) else value


def _rescaled(where: Any, a: np.ndarray) -> np.ndarray:
    if a.ndim or not isinstance(where, str):
        return a
    return a * (1.03 + 0.01 * (sum(map(ord, where)) % 13))  # a number of its own for each name


def _turned(where: Any, a: np.ndarray) -> np.ndarray:
    """Each number of an input with a sign drawn anew."""
    return a * generator(51).choice([-1.0, 1.0], size=a.shape) if isinstance(where, int) else a


def _moved(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The array's numbers in other places, and a little different."""
    return rng.permutation(a.ravel()).reshape(a.shape) * rng.uniform(0.7, 1.3, size=a.shape)


def _softened(a: np.ndarray) -> np.ndarray:
    if a.dtype.kind != "f" or not a.ndim or not np.isin(a, (0, 1)).all():
        return a
    return generator(50).uniform(0.2, 0.8, size=a.shape)


def _growing(chosen: Callable[[Any, int], bool]) -> Change:
    """Makes every axis longer that is chosen by its array and its size."""
    return lambda where, a: _grown(a, [axis for axis, n in enumerate(a.shape) if chosen(where, n)])


def _is_size(size: int, outside_only: bool, where: Any, n: int) -> bool:
    return n == size and (isinstance(where, str) or not outside_only)


def _grown_at(place: int, axis: int, where: Any, a: np.ndarray) -> np.ndarray:
    return _grown(a, [axis] if where == place else [])


def _grown(a: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The array with these axes longer by one: the first index is repeated."""
    grown = a
    for axis in axes:
        grown = np.concatenate([grown, np.take(grown, [0], axis)], axis)
    shares = a.dtype.kind == "f" and a.ndim and (a >= 0).all() and np.allclose(a.sum(axis=-1), 1)  # and stay so
    return grown / grown.sum(axis=-1, keepdims=True) if shares else grown
