"""The true gradient, from evaluations of the forward alone.

Complex step: f(x + ih) = f(x) + ih f'(x) + O(h²), so f'(x) = Im f(x + ih) / h. Nothing is subtracted, so nothing cancels,
and with h = 1e-20 the result is exact up to rounding: there is no step size to choose. It needs a forward that accepts
complex numbers, as all ops of the table do. Other functions get central differences with two steps, and the report says so.

Everything is built on `slope`: how the outputs move when one array moves along a direction.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

STEP = 1e-20
MAX_JACOBIAN = 4_000_000  # the most numbers that are kept for naming mistakes: 32 MB

Value = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


class OneSided(NamedTuple):
    """The range in which a gradient may lie where the left and right derivative differ: centre ± half."""

    kink: bool
    centre: float
    half: float


class Elements(NamedTuple):
    """Some elements of an array: flat indices, true derivatives, and the Jacobian's rows (None if too many)."""

    at: np.ndarray
    true: np.ndarray
    rows: np.ndarray | None

    def only(self, mask: np.ndarray) -> Elements:
        """The elements where the mask is true."""
        return Elements(self.at[mask], self.true[mask], None if self.rows is None else self.rows[mask])


class Truth:
    """Derivatives of <dy, value(arrays)> with respect to each array.

    Arguments: value, arrays -> outputs; arrays; cotangents, one dy for each output; trusted, whether `value` is known
    to be complex-safe (a test proves that the ops of the table are); if not, it is tried out.
    """

    def __init__(self, value: Value, arrays: Sequence[np.ndarray], cotangents: Sequence[np.ndarray], trusted: bool):
        self.value, self.arrays = value, list(arrays)
        self.dy = _flat(cotangents)
        self.complex = trusted or _complex_safe(value, self.arrays)

    @property
    def method(self) -> str:
        return "complex step" if self.complex else "central differences with two steps (this function is not complex-safe)"

    @property
    def tolerance(self) -> float:
        """The relative gap up to which two gradients count as equal."""
        return 1e-10 if self.complex else 1e-6

    def slope(self, k: int, direction: np.ndarray, side: int = 0, delta: float = 0.0) -> np.ndarray:
        """How all outputs (flat) move along a direction of array k: at the point, or at `delta` to one side (-1 or 1) of it."""
        with _quiet():
            if self.complex:
                moved = self.arrays[k] + (side * delta) * direction + (1j * STEP) * direction
                return np.imag(self._at(k, moved)) / STEP
            if side:
                delta = max(delta, 1e-7)
                return side * (self._at(k, self.arrays[k] + side * delta * direction) - self._at(k, self.arrays[k])) / delta
            return self._central(k, direction)

    def _central(self, k: int, direction: np.ndarray) -> np.ndarray:
        """Central differences, extrapolated from two steps; of two pairs of steps, the one that agrees better."""
        best, doubt = None, np.inf
        for h in (1e-3, 1e-5):
            coarse, fine = (
                (self._at(k, self.arrays[k] + s * direction) - self._at(k, self.arrays[k] - s * direction)) / (2 * s)
                for s in (h, h / 2)
            )
            gap = np.max(np.abs(fine - coarse), initial=0)
            if best is None or gap < doubt:
                best, doubt = (4 * fine - coarse) / 3, gap
        assert best is not None
        return best

    def _at(self, k: int, array: np.ndarray) -> np.ndarray:
        """All outputs, flat, with another array k."""
        return _flat(self.value([*self.arrays[:k], array, *self.arrays[k + 1 :]]))

    def along(self, k: int, direction: np.ndarray) -> float:
        """The derivative of <dy, value> along a direction of array k."""
        return float(self.dy @ self.slope(k, direction))

    def elements(self, k: int, at: np.ndarray) -> Elements:
        """The derivative with respect to each of these elements (flat indices) of array k."""
        keep = len(at) * len(self.dy) <= MAX_JACOBIAN
        true, rows = np.empty(len(at)), np.empty((len(at), len(self.dy))) if keep else None
        for i, row in enumerate(self._rows(k, at)):
            true[i] = self.dy @ row
            if rows is not None:
                rows[i] = row
        return Elements(at, true, rows)

    def _rows(self, k: int, at: np.ndarray) -> Iterator[np.ndarray]:
        """How all outputs move with each of these elements alone."""
        if not self.complex:
            yield from (self.slope(k, self.unit(k, element)) for element in at)
            return
        lifted = self.arrays[k].astype(complex)  # one copy, in which each element takes its step in turn
        with _quiet():
            for element in at:
                lifted.imag.flat[element] = STEP
                yield np.imag(self._at(k, lifted)) / STEP
                lifted.imag.flat[element] = 0

    def unit(self, k: int, *elements: int) -> np.ndarray:
        """The direction that moves these elements alone."""
        direction = np.zeros(self.arrays[k].shape)
        direction.flat[list(elements)] = 1
        return direction

    def one_sided(self, k: int, direction: np.ndarray) -> OneSided:
        """Left and right derivative along a direction; it is a kink if their jump stays as the two points come closer.

        Each output may take its own side, so the bounds add up |dy| times the jump of each.
        """
        jumps = []
        for delta in (1e-6, 1e-8) if self.complex else (1e-5, 1e-6):
            right, left = self.slope(k, direction, 1, delta), self.slope(k, direction, -1, delta)
            jumps.append(np.abs(right - left))
        size = np.maximum(np.abs(right), np.abs(left))
        stays = (jumps[1] > 0.5 * jumps[0]) & (jumps[1] > 1e-5 * np.maximum(size, 1e-3 * np.max(size, initial=0)))
        jump = np.where(stays, jumps[1], 0)
        return OneSided(bool(stays.any()), float(self.dy @ (right + left) / 2), float(np.abs(self.dy) @ jump / 2))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of overflow far from the point, and of complex numbers cast to a layer's real statistics."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        yield


def _flat(arrays: Sequence[Any]) -> np.ndarray:
    return np.ravel(arrays[0]) if len(arrays) == 1 else np.concatenate([np.ravel(a) for a in arrays])


def _complex_safe(value: Value, arrays: list[np.ndarray]) -> bool:
    """Whether complex step and differences agree along one direction, at the point or, if it is a kink, close to it."""
    rng = np.random.default_rng(0)
    for nearby in (0.0, 1e-4):
        point = [a + nearby * np.max(np.abs(a), initial=0) * rng.normal(size=a.shape) for a in arrays]
        directions = [rng.normal(size=a.shape) for a in arrays]

        def joint(s: Sequence[Any], point: list = point, directions: list = directions) -> Sequence[np.ndarray]:
            return value([a + s[0] * d for a, d in zip(point, directions, strict=True)])

        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # the numbers show whether a cast to real lost something
                exact = np.imag(_flat(joint([1j * STEP]))) / STEP
        except Exception:  # complex numbers do not pass, for whatever reason
            return False
        probe = Truth(joint, [np.zeros(())], [np.zeros(0)], trusted=True)
        probe.complex = False
        differences = probe.slope(0, np.ones(()))
        if np.max(np.abs(exact - differences), initial=0) <= 1e-4 * np.max(np.abs(differences), initial=1e-8):
            return True
    return False
