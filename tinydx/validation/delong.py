r"""DeLong's interval of an ROC area, and his test of two areas on the same examples.

Of m positives with scores X and n negatives with scores Y, each example has a share in the area A, its structural component:

    V10(i) = (1/n) sum_j psi(X_i, Y_j)          the share of the negatives that positive i beats
    V01(j) = (1/m) sum_i psi(X_i, Y_j)          the share of the positives that beat negative j
    A      = mean V10 = mean V01                psi = 1 where X > Y, 1/2 where X = Y, else 0
    var A  = S10 / m + S01 / n                  S10 and S01, the variances of V10 and V01 (divisors m - 1, n - 1)

Midranks give the components without the m n pairs: with R the midranks among all examples and R' those among the own class,
V10(i) = (R_i - R'_i) / n and V01(j) = 1 - (R_j - R'_j) / m. For the difference of two areas on the same examples, the same
equations hold for the differences of the components.

Where all components are equal the variance is 0, which claims too much. The rule then: of all pairs, only k = min(m, n) share no
example. The interval is Wilson's of k successes in k trials, the test is the sign test on k pairs that agree, p = 2^(1-k).

Source: DeLong, DeLong and Clarke-Pearson 1988; Sun and Xu 2014 for the midranks.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from tinydx.evaluation import both_classes, midranks, wilson_interval


def delong_interval(y: ArrayLike, score: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """The area under the ROC curve and its interval: A +- z sqrt(var A), cut at 0 and 1.

    An area of 0 or 1 gets Wilson's interval of min(m, n) disjoint pairs. With a single example of a class the variance is
    unknown, and the interval is 0 to 1. A constant score has the area 1/2 on every test set: its interval has no width.

    Arguments: y (N,) of 0 and 1; score (N,), higher means more likely 1; level of the interval, 0 to 1.
    Returns: (area, low, high).
    Raises: ValueError unless both classes occur, for NaN, and where lengths differ.
    Source: DeLong, DeLong and Clarke-Pearson 1988.

    >>> [round(value, 3) for value in delong_interval([0, 0, 0, 1, 1, 1], [0.1, 0.4, 0.3, 0.35, 0.8, 0.7])]
    [0.889, 0.581, 1.0]
    >>> [round(value, 3) for value in delong_interval([0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 2, 3, 4, 5, 5, 6])]
    [1.0, 0.51, 1.0]
    """
    positive, negative = _components(y, score)
    area, pairs = float(positive.mean()), min(len(positive), len(negative))
    if area in (0.0, 1.0):
        low, high = wilson_interval(round(area) * pairs, pairs, level)
    elif np.ptp(positive) == np.ptp(negative) == 0:  # all scores are equal
        low = high = area
    elif pairs < 2:
        low, high = 0.0, 1.0
    else:
        half = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(_variance(positive, negative))
        low, high = max(0.0, area - half), min(1.0, area + half)
    return area, float(low), float(high)


def delong_test(y: ArrayLike, score_a: ArrayLike, score_b: ArrayLike) -> float:
    """Whether two scores of the same examples have different areas under the ROC curve: z = (A_a - A_b) / sqrt(var(A_a - A_b)).

    Equal areas have p = 1. With a single example of a class nothing can be told, p = 1. Where one score is better by the same
    amount on every example, the variance is 0, and p is that of the sign test on min(m, n) disjoint pairs.

    Arguments: y (N,) of 0 and 1; score_a, score_b (N,), higher means more likely 1.
    Returns: the two-sided p-value: how often chance alone gives such a difference where the areas are equal.
    Raises: ValueError unless both classes occur, for NaN, and where lengths differ.
    Source: DeLong, DeLong and Clarke-Pearson 1988.

    >>> y, a, b = [0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 3, 5, 4, 6, 7, 8], [1, 6, 5, 2, 3, 7, 4, 8]
    >>> round(delong_test(y, a, b), 3), delong_test(y, a, a)
    (0.399, 1.0)
    """
    positive, negative = (a - b for a, b in zip(_components(y, score_a), _components(y, score_b), strict=True))
    difference, pairs = abs(float(positive.mean())), min(len(positive), len(negative))
    if pairs < 2 or difference < 1e-12:
        return 1.0
    variance = _variance(positive, negative)
    if variance < 1e-24:
        return min(1.0, 2.0 ** (1 - pairs))
    return 2 * NormalDist().cdf(-difference / float(np.sqrt(variance)))


def _components(y: ArrayLike, score: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The structural components of the area: V10 (m,) of the positives and V01 (n,) of the negatives."""
    true, score = both_classes(y, score, "DeLong's variance")
    rank, m, n = midranks(score), int(true.sum()), int(np.sum(~true))
    return (rank[true] - midranks(score[true])) / n, 1 - (rank[~true] - midranks(score[~true])) / m


def _variance(positive: np.ndarray, negative: np.ndarray) -> float:
    """S10 / m + S01 / n."""
    return float(positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative))
