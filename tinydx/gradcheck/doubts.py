"""The third verdict, "cannot tell": where no gradient can be judged, with the reason and what to change.

Inputs or outputs that are NaN or infinite, outputs in float32, a forward that gives another result at each call, too few
digits, and a point where the true gradient is zero everywhere though the function depends on the array elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.truth import Truth, generator, quiet

CALLS = 3  # of forward at the same point, before anything is believed
ELSEWHERE = 4  # points at which a gradient that is zero here is looked at again
DIGITS = 1e-10  # relative noise of forward above which it has too few digits: float64 has 1e-16, float32 1e-7


def before(subject: Subject, outputs: Sequence[np.ndarray]) -> str:
    """Why this point or this forward cannot be judged, "" if it can."""
    return _of_inputs(subject) or _of_outputs(outputs) or changing(subject, outputs)


def _of_inputs(subject: Subject) -> str:
    for name, x in zip(subject.names, subject.arrays, strict=True):
        if where := _not_finite(name, x):
            return f"the input {where}: give finite numbers."
    return ""


def _of_outputs(outputs: Sequence[np.ndarray]) -> str:
    """float32, integers, NaN or infinite numbers in what forward returns."""
    for i, y in enumerate(map(np.asarray, outputs)):
        name = "y" if len(outputs) == 1 else f"output {i}"
        if y.dtype in (np.float32, np.float16, np.complex64):
            why = "7 digits cannot tell a wrong gradient from rounding"
            return f"forward returns {y.dtype}, and {why}: compute in float64, without .astype('float32')."
        if y.dtype.kind not in "f":
            return f"forward returns {y.dtype}, expected float64: a gradient needs numbers that move."
        if where := _not_finite(name, y):
            return f"forward gives {where}: give inputs at which it is finite."
    return ""


def _not_finite(name: str, x: np.ndarray) -> str:
    """The first number that is NaN or infinite, as "x[1, 2] = nan"."""
    bad = ~np.isfinite(x)
    if not bad.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{name}{list(index) if index else ''} = {x[index]}"


def changing(subject: Subject, outputs: Sequence[np.ndarray]) -> str:
    """A forward that gives another result at the same point."""
    for _ in range(CALLS - 1 if not subject.trusted else 0):
        with quiet():
            again = subject.value(subject.arrays)
        pairs = list(zip(outputs, again, strict=False))
        if len(again) != len(outputs) or any(np.shape(a) != np.shape(b) for a, b in pairs):
            return "forward gives another shape each time it is called with the same inputs."
        if any(not np.array_equal(a, b, equal_nan=True) and not np.allclose(a, b, rtol=1e-13, atol=0) for a, b in pairs):
            why = "a random mask, np.random or a counter in it? Draw once outside, pass the mask in, or seed inside forward"
            return f"forward gives another result each time it is called with the same inputs: {why}."
    return ""


def few_digits(subject: Subject, truth: Truth) -> str:
    """Rounding inside forward that is coarser than float64's: its second differences along a line do not vanish."""
    if all(truth.complex):
        return ""
    rng = generator(1)
    directions = [x * rng.uniform(0.5, 1, size=x.shape) for x in subject.arrays]
    with quiet():
        line = [
            np.concatenate(
                [np.ravel(y) for y in subject.value([x + 3e-7 * i * d for x, d in zip(subject.arrays, directions, strict=True)])]
            )
            for i in range(9)
        ]
        values = np.array(line)
        bends = np.abs(np.diff(values, n=2, axis=0)).max(axis=1)
        noise = float(np.median(bends)) / max(float(np.max(np.abs(values), initial=0)), 1e-300)
    if not noise > DIGITS:
        return ""
    return f"forward has only about {max(int(-np.log10(noise)), 0)} digits: is float32 or rounding inside? Compute in float64."


def dead(subject: Subject, truth: Truth, k: int) -> bool:
    """Whether the outputs depend on array k at other points, though the gradient is zero everywhere at this one."""
    if not subject.given:
        return False
    rng = generator(2)
    for _ in range(ELSEWHERE):
        arrays = [_like(x, rng) for x in subject.arrays]
        there = Truth(subject.value, arrays, [np.ones(0)], trusted=True)
        there.complex = truth.complex
        try:
            slope = there.slope(k, rng.normal(size=arrays[k].shape)).value
        except Exception:  # forward refuses this point
            continue
        if np.isfinite(slope).all() and np.max(np.abs(slope), initial=0) > 1e-9:
            return True
    return False


def _like(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other numbers of the same size, of both signs unless all are positive."""
    size = np.sqrt(np.mean(x**2)) if x.any() else 1.0
    drawn = size * rng.normal(size=x.shape)
    return np.abs(drawn) if x.size > 3 and (x > 0).all() else drawn
