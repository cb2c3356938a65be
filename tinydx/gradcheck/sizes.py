"""The same check at other sizes: a factor of 1/2 may be 1/N of a batch of two, or a 2 that was forgotten.

Each size that occurs in the arrays is made larger by one in turn, wherever it occurs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.rules import as_list
from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.truth import Truth, generator

MOST = 6  # sizes that are varied


class Resized(NamedTuple):
    """A check at other sizes: the subject, its cotangents, what the backward returns, and the truth."""

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
        for i in range(2):  # the same along both, or there is no such factor
            v = generator(20 + 2 * k + i).normal(size=got.shape)
            try:
                true = self.truth.along(k, v)[0]
            except Exception:  # forward refuses these sizes after all
                return float("nan")
            found.append(float(np.sum(got * v) / true) if true else float("nan"))
        return found[0] if np.isclose(found[0], found[1], rtol=1e-6) else float("nan")


def resized(subject: Subject, is_complex: Sequence[bool]) -> list[Resized]:
    """The check with each size in turn made larger; sizes that forward or backward refuse are left out."""
    if subject.again is None:
        return []
    given = [*subject.arrays, *(c for c in subject.constants.values() if isinstance(c, np.ndarray))]
    sizes = sorted({n for a in given for n in a.shape if n > 1})[:MOST]
    found = []
    for i, size in enumerate(sizes):
        rng = generator(30 + i)
        arrays = [_grown(a, size) * rng.uniform(0.7, 1.3, size=_grown(a, size).shape) for a in subject.arrays]
        constants = {n: _grown(c, size) if isinstance(c, np.ndarray) else c for n, c in subject.constants.items()}
        try:
            other = replace(subject.again(arrays, constants, subject.backward), ops=subject.ops)
            outputs, pull = other.run([a.copy() for a in arrays])
            dys = [np.asarray(rng.normal(size=np.shape(y))) for y in outputs]
            truth = Truth(other.value, arrays, dys, trusted=True)
            truth.complex = list(is_complex)
            found.append(Resized(other, dys, as_list(pull([dy.copy() for dy in dys])), truth))
        except Exception:  # these sizes belong together in some other way
            continue
    return found


def _grown(a: np.ndarray, size: int) -> np.ndarray:
    """The array with every axis of this size longer by one: its first index is repeated."""
    for axis, n in enumerate(a.shape):
        if n == size:
            a = np.concatenate([a, np.take(a, [0], axis)], axis)
    return a
