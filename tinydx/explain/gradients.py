"""Gradient, gradient x input, and integrated gradients."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tinydx.explain.explanation import Explanation
from tinydx.explain.subject import Subject

NODES = 8  # of the quadrature on each step
MOST = 4096  # steps, to which bisecting may go for one example


def gradient(model: Any, x: Any, target: Any = None) -> Explanation:
    r"""How the class's logit answers to each number of the input: $M = \partial s_c / \partial x$.

    Arguments: model; x (N,...) or one example; target, a class by name or index (None: the one that the model calls).
    Returns: an `Explanation`; its map is like x (texts: (N,T), the sum over a token's vector).
    Raises: ValueError as `Subject`.
    Source: Simonyan, Vedaldi and Zisserman 2013.

    >>> from tinydx.layers import Dense
    >>> from tinydx.models import Sequential
    >>> model = Sequential([Dense(1, activation="sigmoid", input_shape=(3,))])
    >>> w = model.get_weights()[0][:, 0]
    >>> bool(np.allclose(gradient(model, np.ones(3), target=1).map, w))
    True
    """
    subject = Subject(model, x, target)
    score, slope = subject.score_and_gradient(subject.start)
    return Explanation("gradient", subject.to_map(slope), subject.targets, score)


def gradient_times_input(model: Any, x: Any, target: Any = None) -> Explanation:
    r"""The gradient times the input: $M = x \odot \partial s_c / \partial x$.

    For a network of ReLUs without biases the map's sum is the logit.

    Arguments: as `gradient`.
    Returns: an `Explanation`; its baseline is the empty input, 0.
    Source: Shrikumar et al. 2016.
    """
    subject = Subject(model, x, target)
    score, slope = subject.score_and_gradient(subject.start)
    return Explanation("gradient times input", subject.to_map(slope * subject.start), subject.targets, score)


def integrated_gradients(
    model: Any, x: Any, target: Any = None, *, baseline: Any = None, steps: int = 64, tolerance: float | None = None
) -> Explanation:
    r"""The gradient along the straight way from a baseline to the input, summed up.

    $M = (x - x_0) \odot \int_0^1 \frac{\partial s_c}{\partial x}(x_0 + a (x - x_0)) \, da$, whose sum is $s_c(x) - s_c(x_0)$:
    completeness. The integral is a sum over Gauss-Legendre nodes, eight in each of `steps / 8` equal parts of the way: exact to
    rounding for smooth networks, and with an error that falls like 1 / steps where ReLUs switch. With `tolerance`, the parts in
    which the sum misses the difference of the scores most are bisected until it holds.

    Arguments: model, x, target, as `gradient`; baseline, like x, one example or a number (None: 0; of texts: vectors of 0);
    steps; tolerance, the largest `completeness_error` wanted, in units of the logit.
    Returns: an `Explanation` with baseline_score and completeness_error.
    Raises: ValueError where the tolerance is not reached, with the error that was.
    Source: Sundararajan, Taly and Yan 2017.

    >>> from tinydx.layers import Dense
    >>> from tinydx.models import Sequential
    >>> model = Sequential([Dense(1, activation="sigmoid", input_shape=(3,))])
    >>> found = integrated_gradients(model, np.ones(3), target=1)
    >>> bool(np.allclose(found.map, model.get_weights()[0][:, 0])), bool(found.completeness_error[0] < 1e-5)
    (True, True)
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, expected 1 or more")
    subject = Subject(model, x, target)
    if subject.embedding is not None and baseline is not None:
        raise ValueError("the baseline of a text is the vector of 0 for each token: leave baseline out")
    origin = np.broadcast_to(np.asarray(0 if baseline is None else baseline, subject.start.dtype), subject.start.shape)
    score, start = subject.score(subject.start), subject.score(origin)
    total, error = np.empty(subject.start.shape), np.empty(len(score))
    for i in range(len(score)):
        line = _Line(subject, i, origin[i])
        total[i], error[i] = line.integral(-(-steps // NODES), score[i] - start[i], tolerance)
    words = "0 everywhere" if baseline is None else "as given"
    return Explanation("integrated gradients", subject.to_map(total), subject.targets, score, words, start, error)


class _Part(NamedTuple):
    """A part of the way, its share of the map, and by how much its sum misses the difference of the scores at its ends."""

    low: float
    high: float
    map: np.ndarray
    missed: float


class _Line:
    """The straight way from a baseline to one example."""

    def __init__(self, subject: Subject, i: int, origin: np.ndarray):
        self.subject, self.i, self.origin = subject, i, origin.astype(np.float64)
        self.way = subject.start[i].astype(np.float64) - self.origin

    def integral(self, count: int, difference: float, tolerance: float | None) -> tuple[np.ndarray, float]:
        """The map of the example, and how far its sum is from the difference of the scores; `count` parts at first."""
        parts, taken = self._parts(pairwise(np.linspace(0, 1, count + 1))), count
        while True:
            total = np.sum([part.map for part in parts], axis=0)
            error = abs(float(total.sum()) - difference)
            if tolerance is None or error <= tolerance:
                return total, error
            bad = [part for part in parts if part.missed > tolerance / (2 * len(parts))]
            if not bad or taken > MOST:
                reached = f"completeness error {error:.3g} after {taken * NODES} steps"
                raise ValueError(f"integrated gradients: {reached}, not {tolerance:g}: ask for less, or use float64")
            halves = [cut for p in bad for cut in ((p.low, (p.low + p.high) / 2), ((p.low + p.high) / 2, p.high))]
            worse = {id(part) for part in bad}
            parts, taken = [p for p in parts if id(p) not in worse] + self._parts(halves), taken + len(halves)

    def _parts(self, cuts: Iterable[tuple[float, float]]) -> list[_Part]:
        """Those parts of the way, all computed together."""
        ends = np.array(list(cuts))
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        lengths = ends[:, 1] - ends[:, 0]
        places = ends[:, :1] + (nodes + 1) / 2 * lengths[:, None]
        _, slopes = self.subject.score_and_gradient(self._at(places), np.full(places.size, self.i))
        slopes = slopes.reshape(*places.shape, -1).astype(np.float64)
        maps = np.einsum("p,n,pnd->pd", lengths, weights / 2, slopes).reshape(-1, *self.way.shape) * self.way
        scores = self.subject.score(self._at(ends), np.full(ends.size, self.i)).reshape(ends.shape).astype(np.float64)
        sums = maps.reshape(len(maps), -1).sum(axis=1)
        missed = np.abs(sums - (scores[:, 1] - scores[:, 0]))
        return [_Part(low, high, m, float(e)) for (low, high), m, e in zip(ends.tolist(), maps, missed, strict=True)]

    def _at(self, places: np.ndarray) -> np.ndarray:
        """The inputs at these shares of the way, one after the other."""
        shares = places.reshape(-1, *[1] * self.way.ndim)
        return (self.origin + shares * self.way).astype(self.subject.start.dtype)
