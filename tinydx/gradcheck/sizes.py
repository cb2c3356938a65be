"""The same check at other sizes: a factor of 1/2 may be 1/N of a batch of two, or a 2 that was forgotten.

Each size that occurs in the arrays is made larger by one in turn, wherever it occurs: in the inputs, in constants, and in arrays
that forward and backward find outside, such as labels.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.rules import as_list
from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.truth import Truth, generator

MOST = 6  # sizes that are varied


class Resized(NamedTuple):
    """A check at other sizes: the size that grew, the subject, its cotangents, what the backward returns, and the truth."""

    size: int
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

    def grown(self, function: Callable) -> Callable:
        """A function with the arrays that it finds outside at these sizes."""
        return grown(function, self.size)

    def _along(self, k: int, dys: Sequence[np.ndarray] | None = None) -> list[tuple[np.ndarray, float]]:
        """Two directions of argument k with the true derivatives along them; fewer where forward refuses these sizes after all."""
        truth, found = self.truth.weighted(self.dys if dys is None else dys), []
        for i in range(2):  # the same along both, or there is no such factor
            v = generator(20 + 2 * k + i).normal(size=self.subject.arrays[k].shape)
            try:
                found.append((v, truth.along(k, v)[0]))
            except Exception:
                break
        return found


def resized(subject: Subject, is_complex: Sequence[bool]) -> list[Resized]:
    """The check with each size in turn made larger; sizes that forward or backward refuse are left out."""
    if subject.again is None:
        return []
    found = []
    for i, size in enumerate(sizes(subject)[:MOST]):
        rng = generator(30 + i)
        arrays = [_grown(a, size) * rng.uniform(0.7, 1.3, size=_grown(a, size).shape) for a in subject.arrays]
        constants = {n: _grown(c, size) if isinstance(c, np.ndarray) else c for n, c in subject.constants.items()}
        try:
            other = replace(subject.again(arrays, constants, lambda f, size=size: grown(f, size)), ops=subject.ops)
            outputs, pull = other.run([a.copy() for a in arrays])
            dys = [np.asarray(rng.normal(size=np.shape(y))) for y in outputs]
            truth = Truth(other.value, arrays, dys, trusted=True)
            truth.complex = list(is_complex)
            found.append(Resized(size, other, dys, as_list(pull([dy.copy() for dy in dys])), truth))
        except Exception:  # these sizes belong together in some other way
            continue
    return found


def sizes(subject: Subject) -> list[int]:
    """All sizes of axes, of inputs, constants and of what forward and backward find outside."""
    given = [*subject.arrays, *(c for c in subject.constants.values() if isinstance(c, np.ndarray))]
    for function in subject.functions:
        given += [a for a in outside(function).values() if isinstance(a, np.ndarray)]
    return sorted({n for a in given for n in a.shape if n > 1})


def outside(function: Any) -> dict[str, Any]:
    """The arrays and numbers that a function finds outside, by name: globals and enclosing variables."""
    if not isinstance(function, types.FunctionType):
        return {}
    names = set(function.__code__.co_names)
    found = {n: v for n, v in function.__globals__.items() if n in names}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        found[name] = cell.cell_contents
    return {n: v for n, v in found.items() if isinstance(v, np.ndarray | float | int) and not isinstance(v, bool)}


def grown(function: Any, size: int) -> Any:
    """The function with every array that it finds outside grown where it has this size."""
    if not isinstance(function, types.FunctionType):
        return function
    other = {n: _grown(v, size) for n, v in outside(function).items() if isinstance(v, np.ndarray)}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    closure = tuple(types.CellType(other[n]) if n in other else cell for n, cell in cells)
    made = types.FunctionType(
        function.__code__, {**function.__globals__, **other}, function.__name__, function.__defaults__, closure
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _grown(a: np.ndarray, size: int) -> np.ndarray:
    """The array with every axis of this size longer by one: its first index is repeated."""
    for axis, n in enumerate(a.shape):
        if n == size:
            a = np.concatenate([a, np.take(a, [0], axis)], axis)
    return a
