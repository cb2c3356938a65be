"""Occlusion: what the score loses when a part of the input is covered."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from tinydx.explain.explanation import Explanation
from tinydx.explain.subject import Subject


def occlusion(
    model: Any, x: Any, target: Any = None, *, patch: Any = None, stride: Any = None, fill: float = 0.0
) -> Explanation:
    r"""What the class's logit loses when a patch of the input is replaced by `fill`: $M_p = s_c(x) - s_c(x \text{ without } p)$.

    Every place gets the mean over the patches that cover it. For a linear model and patches side by side it is the sum of
    $w (x - \text{fill})$ over the patch.

    Arguments: model, x, target as `gradient`; patch, its side, or one number for each axis of places (None: an eighth of the
    axis, at least 1; of texts: one token); stride, likewise (None: the patch); fill, what stands in the patch's place.
    Returns: an `Explanation` with map (N,H,W), (N,T) or (N,D).
    Raises: ValueError for a patch that does not fit into the input, or a stride that skips places.
    Source: Zeiler and Fergus 2014.

    >>> from tinydx.layers import Dense, Flatten
    >>> from tinydx.models import Sequential
    >>> model = Sequential([Flatten(input_shape=(4, 4, 1)), Dense(1, activation="sigmoid")])
    >>> occlusion(model, np.ones((1, 4, 4, 1)), target=1, patch=2).map.shape
    (1, 4, 4)
    """
    subject = Subject(model, x, target)
    sides = subject.start.shape[1:-1] if subject.start.ndim > 2 else subject.start.shape[1:]
    usual = [1 if subject.embedding is not None else max(1, side // 8) for side in sides]
    patches = _each("patch", patch, usual, sides)
    strides = _each("stride", stride, patches, patches)
    score = subject.score(subject.start)
    fall, covered = np.zeros((len(score), *sides), score.dtype), np.zeros(sides, int)
    starts = [sorted({*range(0, side - p, s), side - p}) for side, p, s in zip(sides, patches, strides, strict=True)]
    for corner in product(*starts):
        where = tuple(slice(c, c + p) for c, p in zip(corner, patches, strict=True))
        without = subject.start.copy()
        without[(slice(None), *where)] = fill
        fall[(slice(None), *where)] += (score - subject.score(without)).reshape(-1, *[1] * len(sides))
        covered[where] += 1
    return Explanation("occlusion", fall / covered, subject.targets, score, f"{fill:g} in each patch")


def _each(name: str, given: Any, usual: list[int], limits: Any) -> list[int]:
    """A size for each axis of places; ValueError unless it is a whole number from 1 to the axis's limit."""
    values = usual if given is None else [given] * len(usual) if np.ndim(given) == 0 else list(given)
    fits = len(values) == len(usual) and all(
        isinstance(v, int | np.integer) and 1 <= v <= limit for v, limit in zip(values, limits, strict=False)
    )
    if not fits:
        raise ValueError(f"{name} is {given!r}, expected a whole number for each of {len(usual)} axes, at most {tuple(limits)}")
    return [int(v) for v in values]
