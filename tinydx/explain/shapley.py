"""Shapley values: a fair share of the score for each group of numbers, exactly."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np

from tinydx.explain.explanation import Explanation
from tinydx.explain.subject import Subject

MOST = 12  # groups: 2^12 scores


def shapley_values(model: Any, x: Any, target: Any = None, *, groups: Any, baseline: Any = None) -> Explanation:
    r"""What each group adds to the class's logit, on average over all orders in which groups can join.

    $\phi_g = \sum_{S \not\ni g} \frac{|S|! (G - |S| - 1)!}{G!} (s_c(S \cup g) - s_c(S))$, where $s_c(S)$ is the logit with the
    groups S from the input and all other numbers from the baseline. The shares sum to s_c(x) - s_c(baseline); equal groups get
    equal shares; a group that changes nothing gets 0.

    Arguments: model, x, target as `gradient`; groups, the group number 0..G-1 of each number of an example, of an example's shape
    or of its first axes (H,W) or (T,), at most 12 groups; baseline, like x, one example or a number (None: 0).
    Returns: an `Explanation` with values (N,G); each place of its map has its group's share.
    Raises: ValueError for other groups.
    Source: Shapley 1953; Lundberg and Lee 2017.

    >>> from tinydx.layers import Dense
    >>> from tinydx.models import Sequential
    >>> model = Sequential([Dense(1, activation="sigmoid", input_shape=(3,))])
    >>> found = shapley_values(model, np.ones(3), target=1, groups=[0, 1, 1])
    >>> bool(np.allclose(found.values[0], [model.get_weights()[0][0, 0], model.get_weights()[0][1:, 0].sum()], atol=1e-6))
    True
    """
    subject = Subject(model, x, target)
    labels, count = _labels(groups, subject.start.shape[1:])
    origin = np.broadcast_to(np.asarray(0 if baseline is None else baseline, subject.start.dtype), subject.start.shape)
    bits = 1 << labels.reshape(labels.shape + (1,) * (subject.start.ndim - 1 - labels.ndim))
    scores = np.array([subject.score(np.where(bits & s, subject.start, origin)) for s in range(1 << count)], float)
    values = shares(scores)
    full, empty = scores[-1], scores[0]
    return Explanation(
        "Shapley values",
        values[:, labels],
        subject.targets,
        full,
        "0 for the other groups" if baseline is None else "the baseline given, for the other groups",
        empty,
        np.abs(values.sum(axis=1) - (full - empty)),
        values=values,
    )


def shares(scores: np.ndarray) -> np.ndarray:
    r"""The Shapley values of a game of G players, from the score of every coalition.

    Arguments: scores (2^G,N): row s has the scores of the players whose bits are set in s.
    Returns: (N,G), whose rows sum to scores[-1] - scores[0].

    >>> shares(np.array([[0.0], [1.0], [2.0], [5.0]]))
    array([[2., 3.]])
    """
    count = (len(scores) - 1).bit_length()
    values = np.zeros((scores.shape[1], count))
    for chosen in range(1 << count):
        size = chosen.bit_count()
        for g in range(count):
            if not chosen >> g & 1:
                share = factorial(size) * factorial(count - size - 1) / factorial(count)
                values[:, g] += share * (scores[chosen | 1 << g] - scores[chosen])
    return values


def _labels(groups: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """The group numbers as an array, and how many there are."""
    labels = np.asarray(groups)
    if labels.dtype.kind not in "iu" or labels.ndim == 0 or labels.shape != shape[: labels.ndim]:
        got = f"{labels.dtype} {labels.shape}"
        raise ValueError(f"groups: expected a whole number for each number of an example {shape}, got {got}")
    count = int(labels.max()) + 1
    if sorted(set(labels.ravel().tolist())) != list(range(count)):
        raise ValueError("groups: expected the numbers 0, 1, ... G-1, each at least once")
    if count > MOST:
        raise ValueError(f"groups: {count} groups need {2**count} scores: give at most {MOST}")
    return labels, count
