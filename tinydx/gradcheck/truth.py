"""The true gradient, from evaluations of the forward alone.

Complex step: f(x + ih) = f(x) + ih f'(x) + O(h²), so f'(x) = Im f(x + ih) / h. Nothing is subtracted, so nothing cancels,
and with h = 1e-20 the result is exact up to rounding: there is no step size to choose. It needs a forward that accepts
complex numbers, as all ops of the table do. Whether it does is a property of each array alone: a forward that fills
`np.zeros_like(x)` keeps the imaginary part of x and loses that of w. The other arrays get central differences with steps
relative to their numbers, and the report says so.

Everything is built on `slope`: how the outputs move when one array moves along a direction.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinydx.language import sentence

STEP = 1e-20
STEEP = 1e5  # a slope above this is computed twice, with another step: at sqrt(0) the two differ
MAX_JACOBIAN = 4_000_000  # the most numbers that are kept for naming mistakes: 32 MB
NEAR = 1e-7  # of an array's largest number: how far points are that are close by
SALT = 20_271_828  # the checker's own random numbers share no stream with default_rng(0), which users draw from

Value = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


def generator(seed: int) -> np.random.Generator:
    """Random numbers that no input has: a cotangent that equals an input would pass wrong gradients."""
    return np.random.default_rng([SALT, seed])


class OneSided(NamedTuple):
    """The range in which a gradient may lie where the left and right derivative differ: centre ± half."""

    kink: bool
    centre: float
    half: float


class Elements(NamedTuple):
    """Some elements of an array: flat indices, true derivatives, how far these may be off, and the Jacobian's rows.

    The rows are None if there are too many numbers.
    """

    at: np.ndarray
    true: np.ndarray
    doubt: np.ndarray
    rows: np.ndarray | None

    def only(self, mask: np.ndarray) -> Elements:
        """The elements where the mask is true."""
        rows = None if self.rows is None else self.rows[mask]
        return Elements(self.at[mask], self.true[mask], self.doubt[mask], rows)


class Slope(NamedTuple):
    """How all outputs (flat) move, and how far each of these numbers may be off."""

    value: np.ndarray
    doubt: np.ndarray


class Truth:
    """Derivatives of <dy, value(arrays)> with respect to each array.

    Arguments: value, arrays -> outputs; arrays; cotangents, one dy for each output; trusted, whether `value` is known
    to be complex-safe (a test proves that the ops of the table are); if not, it is tried out for each array.
    """

    def __init__(self, value: Value, arrays: Sequence[np.ndarray], cotangents: Sequence[np.ndarray], trusted: bool):
        self.value, self.arrays = value, list(arrays)
        self.dy = _flat(cotangents)
        self.complex = [trusted or self._complex_safe(k) for k in range(len(self.arrays))]

    @property
    def method(self) -> str:
        if all(self.complex):
            return sentence("complex step")
        if any(self.complex):
            return sentence("central differences for some arrays (this function is not complex-safe)")
        return sentence("central differences (this function is not complex-safe)")

    def tolerance(self, k: int) -> float:
        """The relative gap up to which two gradients of array k count as equal."""
        return 1e-10 if self.complex[k] else 1e-6

    def slope(self, k: int, direction: np.ndarray) -> Slope:
        """How all outputs move along a direction of array k."""
        with quiet():
            return self._exact(k, direction) if self.complex[k] else self._central(k, direction)

    def side(self, k: int, direction: np.ndarray, side: int, delta: float) -> np.ndarray:
        """How all outputs move along a direction, at `delta` to one side (-1 or 1) of the point."""
        with quiet():
            if self.complex[k]:
                moved = self.arrays[k] + (side * delta) * direction + (1j * STEP) * direction
                return np.imag(self._at(k, moved)) / STEP
            return side * (self._at(k, self.arrays[k] + side * delta * direction) - self._at(k, self.arrays[k])) / delta

    def _exact(self, k: int, direction: np.ndarray) -> Slope:
        value = np.imag(self._at(k, self.arrays[k] + (1j * STEP) * direction)) / STEP
        return Slope(value, np.zeros(value.shape))

    def _central(self, k: int, direction: np.ndarray) -> Slope:
        """Central differences, extrapolated from two steps each; of neighbouring steps, the pair that agrees best."""
        near = 4 * np.finfo(float).eps * np.max(np.abs(self._at(k, self.arrays[k])), initial=0)
        best, before = None, None
        for h in self._steps(k, direction):
            fine, coarse = (self._difference(k, direction, h / 2), self._difference(k, direction, h))
            now = (4 * fine - coarse) / 3
            if before is not None:
                doubt = np.nan_to_num(np.abs(now - before), nan=np.inf) + near / h
                if best is None or np.max(doubt, initial=0) < np.max(best.doubt, initial=0):
                    best = Slope(now, doubt)
                if np.max(best.doubt, initial=0) <= 1e-9 * np.max(np.abs(best.value), initial=0):
                    break
            before = now
        assert best is not None
        return best

    def _difference(self, k: int, direction: np.ndarray, h: float) -> np.ndarray:
        above, below = (self._at(k, self.arrays[k] + s * h * direction) for s in (1, -1))
        return (above - below) / (2 * h)

    def _steps(self, k: int, direction: np.ndarray) -> list[float]:
        """Steps to try, the largest first: relative to the array's usual number, then to the smallest that moves."""
        usual, smallest = self._sizes(k, direction)
        steps = [usual * 10.0**-i for i in range(2, 8)]
        return steps + [s for s in (smallest * 10.0**-i for i in range(2, 6)) if s < steps[-1]]

    def _sizes(self, k: int, direction: np.ndarray) -> tuple[float, float]:
        """How far along a direction the array moves by its usual number, and by its smallest but zero."""
        x, d = np.abs(self.arrays[k]), np.abs(direction)
        usual = (float(np.median(x[x > 0])) if (x > 0).any() else 1.0) / max(float(np.max(d, initial=0)), 1e-300)
        moves = (d > 0) & (x > 0)
        smallest = float(np.min(x[moves] / d[moves])) if moves.any() else usual
        return usual, min(smallest, usual)

    def _at(self, k: int, array: np.ndarray) -> np.ndarray:
        """All outputs, flat, with another array k."""
        return _flat(self.value([*self.arrays[:k], array, *self.arrays[k + 1 :]]))

    def along(self, k: int, direction: np.ndarray) -> tuple[float, float]:
        """The derivative of <dy, value> along a direction of array k, and how far it may be off."""
        value, doubt = self.slope(k, direction)
        return float(self.dy @ value), float(np.abs(self.dy) @ doubt)

    def elements(self, k: int, at: np.ndarray) -> Elements:
        """The derivative with respect to each of these elements (flat indices) of array k; NaN where there is none."""
        keep = len(at) * len(self.dy) <= MAX_JACOBIAN
        true, doubt = np.empty(len(at)), np.empty(len(at))
        rows = np.empty((len(at), len(self.dy))) if keep else None
        for i, row in enumerate(self._rows(k, at)):
            true[i], doubt[i] = self.dy @ row.value, np.abs(self.dy) @ row.doubt
            if rows is not None:
                rows[i] = row.value
        return Elements(at, true, doubt, rows)

    def _rows(self, k: int, at: np.ndarray) -> Iterator[Slope]:
        """How all outputs move with each of these elements alone."""
        if not self.complex[k]:
            yield from (self.slope(k, self.unit(k, element)) for element in at)
            return
        lifted = self.arrays[k].astype(complex)  # one copy, in which each element takes its step in turn
        none = np.zeros(len(self.dy))
        with quiet():
            for element in at:
                lifted.imag.flat[element] = STEP
                row = np.imag(self._at(k, lifted)) / STEP
                if np.max(np.abs(row), initial=0) > STEEP:
                    lifted.imag.flat[element] = STEP * 1e-10
                    again = np.imag(self._at(k, lifted)) / (STEP * 1e-10)
                    row = np.where(np.isclose(row, again, rtol=1e-3), row, np.nan)
                yield Slope(row, none)
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
        usual, smallest = self._sizes(k, direction)
        size = max(smallest, 1e-6 * usual)  # closer to a kink than this is on it
        for delta in (1e-6, 1e-8) if self.complex[k] else (1e-5, 1e-6):
            right, left = self.side(k, direction, 1, size * delta), self.side(k, direction, -1, size * delta)
            jumps.append(np.abs(right - left))
        most = np.maximum(np.abs(right), np.abs(left))
        stays = (jumps[1] > 0.5 * jumps[0]) & (jumps[1] > 1e-5 * np.maximum(most, 1e-3 * np.max(most, initial=0)))
        jump = np.where(stays, jumps[1], 0)
        return OneSided(bool(stays.any()), float(self.dy @ (right + left) / 2), float(np.abs(self.dy) @ jump / 2))

    def nearby(self, i: int) -> Truth:
        """The same function at the i-th of some points so close by that only kinks change its derivatives."""
        other, rng = copy.copy(self), generator(1000 + i)
        other.arrays = [x + NEAR * (np.max(np.abs(x), initial=0) or 1.0) * rng.normal(size=x.shape) for x in self.arrays]
        return other

    def weighted(self, cotangents: Sequence[np.ndarray]) -> Truth:
        """The same function with other cotangents."""
        other = copy.copy(self)
        other.dy = _flat(cotangents)
        return other

    def _complex_safe(self, k: int) -> bool:
        """Whether complex step and differences of array k agree, at the point or, if it is a kink, close to it."""
        x, rng = self.arrays[k], generator(k)
        usual = max(float(np.median(np.abs(x[x != 0]))) if (x != 0).any() else 1.0, 1e-300)
        for nearby in (0.0, 1e-4):
            size = np.where(x == 0, usual, np.abs(x))
            point, direction = x + nearby * size * rng.normal(size=x.shape), size * rng.normal(size=x.shape)
            probe = _Probe(self.value, [*self.arrays[:k], point, *self.arrays[k + 1 :]], k)
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")  # the numbers show whether a cast to real lost something
                    exact = probe._exact(k, direction).value
            except Exception:  # complex numbers do not pass, for whatever reason
                return False
            with quiet():
                value, doubt = probe._central(k, direction)
            known = np.isfinite(value) & np.isfinite(doubt)
            top = np.max(np.abs(value[known]), initial=1e-8)
            if np.all((np.abs(exact - value) <= 1e-7 * np.abs(value) + 10 * doubt + 1e-10 * top)[known]):
                return True
        return False


class _Probe(Truth):
    """Slopes at another point, of an array of which nothing is known yet."""

    def __init__(self, value: Value, arrays: Sequence[np.ndarray], k: int):
        self.value, self.arrays = value, list(arrays)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings of overflow far from the point, and of complex numbers cast to a layer's real statistics."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _flat(arrays: Sequence[Any]) -> np.ndarray:
    return np.ravel(arrays[0]) if len(arrays) == 1 else np.concatenate([np.ravel(a) for a in arrays])
